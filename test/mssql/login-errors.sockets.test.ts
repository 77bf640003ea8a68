import { afterEach, describe, expect, test } from 'vitest';
import { TokenPoolError } from '../../src/index.js';
import { named } from '../support/named.js';
import { unusedPort } from '../support/unused-port.js';
import { type Config, stock, stockMssql, useEmulators, type Way, ways, withPool } from './three-ways.js';

const emulators = useEmulators();
afterEach(() => {
  emulators.server.heal();
  emulators.server.resume();
});

const [stockWithRefresh] = ways as [Way];
const credential = { getToken: () => emulators.entra.credential().getToken('https://database.windows.net/.default') };
const authentication = { type: 'token-credential', options: { credential } };

type Failure = Error & { code: string; originalError: Error & Record<string, unknown>; cause?: unknown };

/** What goes wrong, and the config to meet it with. */
const cases: { name: string; code: string; number?: number; arrange: () => Promise<Config> | Config }[] = [
  {
    name: 'a refused login',
    code: 'ELOGIN',
    number: 18456,
    arrange: () => {
      emulators.server.failLogins({ number: 18456, state: 1, class: 14, message: "Login failed for user 'app'." });
      return emulators.server.config();
    },
  },
  {
    name: 'a firewall rule',
    code: 'ELOGIN',
    number: 40615,
    arrange: () => {
      emulators.server.failLogins({
        number: 40615,
        state: 1,
        class: 14,
        message: 'Client with IP address is not allowed.',
      });
      return emulators.server.config();
    },
  },
  {
    name: 'a closed port',
    code: 'ESOCKET',
    arrange: async () => ({ ...emulators.server.config(), port: await unusedPort() }),
  },
  {
    name: 'a connection dropped during login',
    code: 'ESOCKET',
    arrange: () => {
      emulators.server.failLogins({ drop: true });
      return emulators.server.config();
    },
  },
  {
    name: 'a server that does not answer',
    code: 'ETIMEOUT',
    arrange: async () => {
      // There is a token already, so only the server is slow.
      emulators.server.resume();
      await withPool(stockWithRefresh, emulators.server.config({ authentication }), async () => {});
      emulators.server.pause();
      return emulators.server.config({ connectionTimeout: 300, authentication });
    },
  },
];

describe.each(named(cases))('%s', (_, { code, number, arrange }) => {
  async function failure(way: Way): Promise<Failure> {
    return way.open(await arrange()).then(
      () => expect.unreachable(),
      (error) => error,
    );
  }

  test.each(named([stockMssql, ...ways]))('is a ConnectionError with its code through %s', async (_, way) => {
    const error = await failure(way);
    expect(error).toBeInstanceOf(way.sql.ConnectionError);
    expect(error).toBeInstanceOf(stock.ConnectionError);
    expect(error.code).toBe(code);
    expect(error.message).not.toBe('');
  });

  test('has number, state, class and a hint, which stock mssql loses', async () => {
    const failures: Failure[] = [];
    for (const way of ways) failures.push(await failure(way));
    const [config, pool, module] = failures as [Failure, Failure, Failure];
    for (const error of [config.originalError, pool, module]) {
      expect(error).toMatchObject({ hint: expect.any(String) });
      if (number !== undefined) expect(error).toMatchObject({ number, state: 1, class: 14 });
    }
    for (const error of [pool, module]) {
      expect(error.originalError).toBeInstanceOf(TokenPoolError);
      expect(error.cause).toBe(error.originalError);
      expect((error.originalError.cause as Failure).code).toBe(code);
    }
  });
});
