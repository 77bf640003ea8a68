import { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import stock from 'mssql';
import * as tedious from 'tedious';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TokenPoolConfig } from '../../src/connections/config.js';
import { settingsFrom } from '../../src/connections/settings.js';
import { createTokenPool, withTokenRefresh } from '../../src/index.js';
import sql from '../../src/mssql/index.js';
import { tediousModule } from '../../src/orm/tedious-module.js';
import { named } from '../support/named.js';
import { type Client, type ScriptedServer, scriptedServer, tokens } from './scripted-server.js';

const TOKEN = `eyJ0eXAiOiJKV1QifQ.${'c2VjcmV0'.repeat(60)}.signature`;
const credential = { getToken: async () => ({ token: TOKEN, expiresOnTimestamp: Date.now() + 3_600_000 }) };

function configFor({ port }: ScriptedServer, rest: Partial<TokenPoolConfig> = {}): TokenPoolConfig {
  return {
    server: 'localhost',
    port,
    authentication: credential,
    connectionTimeout: 1_000,
    options: { trustServerCertificate: true },
    pool: { createTimeoutMillis: 2_000, acquireTimeoutMillis: 2_500, max: 1 },
    ...rest,
  } as TokenPoolConfig;
}

/** Every way to a connection: opens one and closes it again, or rejects. */
const ways: { name: string; open(config: TokenPoolConfig): Promise<void> }[] = [
  {
    name: 'createTokenPool',
    async open(config) {
      const pool = createTokenPool(config);
      try {
        await pool.use(() => undefined);
      } catch (error) {
        expect(pool.stats).toMatchObject({ opening: 0, size: 0, pending: 0 });
        throw error;
      } finally {
        await pool.close({ timeoutMs: 0 });
      }
    },
  },
  {
    name: 'the drop-in',
    async open(config) {
      const pool = await new sql.ConnectionPool(config).connect();
      await pool.close();
    },
  },
  {
    name: 'withTokenRefresh',
    async open(config) {
      const pool = await new stock.ConnectionPool(withTokenRefresh(config) as unknown as stock.config).connect();
      await pool.close();
    },
  },
  {
    name: 'the tedious module for ORMs',
    open(config) {
      const settings = settingsFrom(config);
      const { Connection } = tediousModule(tedious, settings).tedious;
      const connection = new Connection(settings.configuration);
      return new Promise((resolve, reject) => {
        connection.connect((error) => {
          connection.close();
          if (error) reject(error);
          else resolve();
        });
      });
    },
  },
];

/** Uncaught exceptions of any login. */
const uncaught: unknown[] = [];
const onUncaught = (error: unknown): void => void uncaught.push(error);
beforeAll(() => {
  process.on('uncaughtException', onUncaught);
  process.on('unhandledRejection', onUncaught);
});
afterAll(() => {
  process.off('uncaughtException', onUncaught);
  process.off('unhandledRejection', onUncaught);
});

async function failureOf(attempt: Promise<unknown>): Promise<Error & Record<string, unknown>> {
  const startedAt = performance.now();
  const error = await attempt.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(Error);
  expect((error as Error).message).not.toBe('');
  expect(performance.now() - startedAt).toBeLessThan(6_000);
  await sleep(50);
  expect(uncaught).toEqual([]);
  return error as Error & Record<string, unknown>;
}

/** The token, whole or in part, in the encoding that TDS uses. */
function containsSecret(bytes: Buffer, secret = TOKEN): boolean {
  return bytes.includes(Buffer.from(secret.slice(0, 20), 'utf16le')) || bytes.includes(secret.slice(0, 20));
}

const afterToken = async (client: Client, answer: () => unknown): Promise<void> => {
  client.send(Buffer.concat([tokens.fedAuthInfo()]));
  await client.read();
  await answer();
};

describe.each(named(ways))('%s', (_, { open }) => {
  test('fails at once when the server hangs up in the middle of its login response', async () => {
    await using server = await scriptedServer((client) =>
      afterToken(client, async () => {
        client.send(tokens.loginAck(), { last: false });
        await sleep(20);
        client.socket.end();
      }),
    );
    await failureOf(open(configFor(server)));
  });

  test('follows a server that redirects to itself five times and no further', async () => {
    await using server: ScriptedServer = await scriptedServer(async (client) => {
      client.send(Buffer.concat([tokens.loginAck(), tokens.routing('localhost', server.port), tokens.done()]));
    });
    const error = await failureOf(open(configFor(server)));
    expect(error.message).toContain('redirected the login more than 5 times');
    expect(server.accepted).toBe(6);
  });

  test('sends no byte of the token to a hop that does not encrypt, although the first hop did', async () => {
    for (const firstAsksForToken of [false, true]) {
      await using server: ScriptedServer = await scriptedServer(
        async (client) => {
          const redirect = Buffer.concat([tokens.loginAck(), tokens.routing('localhost', server.port), tokens.done()]);
          if (client.index > 0) return afterToken(client, () => client.send(tokens.done()));
          return firstAsksForToken ? afterToken(client, () => client.send(redirect)) : client.send(redirect);
        },
        { encrypts: (index) => index === 0 },
      );
      const error = await failureOf(open(configFor(server)));
      expect(error.message).toMatch(/encrypt/i);
      expect(server.accepted).toBe(2);
      expect(containsSecret(server.clear())).toBe(false);
    }
  });

  test.concurrent.each([
    ['bytes that are no token', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['a token with a length beyond the message', Buffer.from([0xaa, 0xff, 0xff, 1, 2, 3])],
    ['a row where none belongs', Buffer.from([0xd1, 0, 0, 0, 0])],
    ['column metadata without an end', Buffer.from([0x81, 0xff, 0x7f, 0, 0, 0, 0, 0, 0])],
    ['a redirect without a target', Buffer.from([0xe3, 4, 0, 20, 0, 0, 0])],
    ['an environment change of an unknown kind', Buffer.from([0xe3, 3, 0, 99, 0, 0])],
    ['zeros', Buffer.alloc(2_000)],
  ])('contains %s in the login response', async (_, garbage) => {
    for (const beforeToken of [true, false]) {
      await using server = await scriptedServer((client) => {
        const answer = (): void => client.send(garbage);
        return beforeToken ? Promise.resolve(answer()) : afterToken(client, answer);
      });
      const error = await failureOf(open(configFor(server)));
      expect(JSON.stringify([error.message, error.stack])).not.toContain(TOKEN.slice(0, 20));
    }
  });

  test('contains a login response without end', async () => {
    await using server = await scriptedServer((client) =>
      afterToken(client, async () => {
        const info = Buffer.concat(Array.from({ length: 8 }, () => tokens.done(1)));
        for (let sent = 0; sent < 40_000 && !client.socket.destroyed; sent += 1) {
          client.send(info, { last: false });
          if (sent % 500 === 0) await sleep(1);
        }
      }),
    );
    await failureOf(open(configFor(server)));
  });

  test('keeps out of the error any part of the token that the server repeats', async () => {
    await using server = await scriptedServer((client) =>
      afterToken(client, () =>
        client.send(Buffer.concat([tokens.error(50_000, 14, `Bad token: ${TOKEN}`), tokens.done(2)])),
      ),
    );
    const error = await failureOf(open(configFor(server)));
    let text = '';
    for (let at: unknown = error; at instanceof Error; at = at.cause) text += `${at.message} ${at.stack}`;
    expect(text).not.toContain(TOKEN.slice(0, 20));
    expect(text).toContain('[hidden]');
  });
});

describe('a SQL login with encrypt: true', () => {
  const password = 'a-long-password-of-a-user';

  test.each(named(ways))('%s: a server that does not encrypt does not get the password', async (_, { open }) => {
    await using server = await scriptedServer(async () => {}, { encrypts: () => false });
    const config = configFor(server, { authentication: undefined, user: 'app', password });
    const error = await failureOf(open(config));
    // tedious 20 refuses such a server by itself, before the guard is asked.
    expect(error.message).toMatch(/password was not sent|Server did not negotiate encryption/);
    // LOGIN7 obfuscates the password: nibbles swapped, then XOR 0xA5 (MS-TDS 2.2.6.4).
    const obfuscated = Buffer.from(
      Buffer.from(password, 'utf16le').map((byte) => (((byte << 4) | (byte >> 4)) & 0xff) ^ 0xa5),
    );
    expect(server.clear().includes(obfuscated)).toBe(false);
  });
});

// Each of these waits for a time limit, so they wait together.
describe.concurrent('a login that never ends', () => {
  test.each(named(ways))(
    '%s ends in time when the login response stops after its first packet',
    async (_, { open }) => {
      await using server = await scriptedServer((client) =>
        afterToken(client, () => client.send(tokens.loginAck(), { last: false })),
      );
      const error = await failureOf(open(configFor(server)));
      expect(error.message).toMatch(
        // tedious 20 reports its own limit.
        /did not complete the login within 1000 ms|No login within|Failed to connect to localhost:\d+ in 1000ms/,
      );
    },
  );

  test.each(named(ways))('%s ends in time when a custom options.connector never resolves', async (_, { open }) => {
    await using server = await scriptedServer(async () => {});
    const options = { trustServerCertificate: true, connector: () => new Promise(() => {}) };
    await failureOf(open(configFor(server, { options: options as never })));
  });

  test('a custom options.connector that resolves too late has its socket closed', async () => {
    await using server = await scriptedServer(async () => {});
    const late = new Socket();
    const options = { trustServerCertificate: true, connector: () => sleep(1_300).then(() => late) };
    await failureOf(ways[0]?.open(configFor(server, { options: options as never })) as Promise<void>);
    await sleep(600);
    expect(late.destroyed).toBe(true);
  });

  test('the next checkout succeeds as soon as the server works again', async () => {
    let broken = true;
    await using server = await scriptedServer(async (client) => {
      if (broken) return client.send(tokens.loginAck(), { last: false });
      return afterToken(client, async () => {
        client.send(Buffer.concat([tokens.loginAck(), tokens.done()]));
        for (;;) {
          await client.read();
          client.send(tokens.done());
        }
      });
    });
    const pool = createTokenPool(configFor(server));
    await failureOf(pool.acquire());
    expect(pool.stats).toMatchObject({ opening: 0, size: 0 });
    broken = false;
    await pool.use(() => undefined);
    await pool.close();
  });
});
