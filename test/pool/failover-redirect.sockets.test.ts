import { expect, onTestFinished, test } from 'vitest';
import { EncryptionRequiredError, ServerUnavailableError } from '../../src/errors.js';
import type { TokenPool } from '../../src/pool/token-pool.js';
import {
  makeCertificate,
  type SqlEmulator,
  type SqlEmulatorOptions,
  startSqlEmulator,
} from '../../src/testing/index.js';
import { DrivenClock } from '../support/driven-clock.js';
import { type Site, site } from '../support/pool.js';
import { query } from '../support/query.js';
import { SocketsClock } from '../support/sockets-clock.js';

const certificate = makeCertificate({ commonName: 'localhost' });
const NAME = 'SELECT @@SERVERNAME';

/** A gateway that redirects every client, as Azure SQL does inside its region, to the latest target of `sendTo`. */
async function gatewaySite(options: SqlEmulatorOptions = {}): Promise<Site & { sendTo(target: SqlEmulator): void }> {
  const redirectTo = { server: 'localhost', port: 1 };
  const s = await site({ server: { certificate, redirectTo, ...options } });
  return Object.assign(s, {
    sendTo: ({ port }: SqlEmulator) => {
      redirectTo.port = port;
    },
  });
}

async function startTarget(options: SqlEmulatorOptions): Promise<SqlEmulator> {
  const target = await startSqlEmulator({ certificate, ...options });
  onTestFinished(() => target.close());
  return target;
}

function serverName(pool: TokenPool): Promise<unknown[][]> {
  return pool.use((connection) => query(connection, NAME));
}

test('a login that is redirected asks for a token again, and the session belongs to that token', async () => {
  using clock = new DrivenClock(Date.now()).install({ timers: false });
  // The gateway keeps its client waiting until the token is too old for another login.
  await using s = await gatewaySite({ onLogin: () => clock.suspend(3_550_000) });
  const target = await startTarget({ entra: s.entra });
  s.sendTo(target);
  const pool = s.pool();
  expect(await pool.use((c) => query(c, 'SELECT 1'))).toEqual([[1]]);
  const [atGateway, atTarget] = [s.server.logins[0], target.logins[0]];
  expect(s.entra.requests).toHaveLength(2);
  expect((atTarget?.tokenExpiry ?? 0) - (atGateway?.tokenExpiry ?? 0)).toBeGreaterThan(3_000_000);
  expect(pool.stats.tokenExpiresOn).toBe(atTarget?.tokenExpiry);
  // P1 at both.
  for (const login of [atGateway, atTarget]) {
    expect((login?.tokenExpiry ?? 0) - (login?.time ?? 0)).toBeGreaterThan(60_000);
    expect(login).toMatchObject({ accepted: true, encrypted: true });
  }
});

test('a target that does not encrypt gets no token, although the gateway did', async () => {
  await using s = await gatewaySite();
  const target = await startTarget({ entra: s.entra, encrypt: 'not-supported' });
  s.sendTo(target);
  const credential = s.entra.credential();
  const tokens: string[] = [];
  const authentication = {
    getToken: async (scopes: string | string[]) => {
      const token = await credential.getToken(scopes);
      tokens.push(token.token);
      return token;
    },
  };
  const error = await s
    .pool({ authentication })
    .acquire()
    .catch((e: unknown) => e);
  expect(error).toBeInstanceOf(EncryptionRequiredError);
  expect(s.server.logins).toHaveLength(1);
  const [token = 'none'] = tokens;
  for (const encoding of ['utf8', 'utf16le'] as const) {
    expect(target.receivedInClear.includes(Buffer.from(token, encoding))).toBe(false);
  }
  expect(target.logins.filter(({ accepted }) => accepted)).toEqual([]);
});

test('while the target is down, one login probes for all callers; then all are served', async () => {
  using clock = new SocketsClock();
  await using s = await gatewaySite(clock.serverOptions);
  const target = await startTarget({ entra: s.entra, ...clock.serverOptions });
  s.sendTo(target);
  const pool = s.pool({ ...clock.config, pool: { max: 10 } });
  expect(await serverName(pool)).toEqual([['emulator']]);
  const { port } = target;
  await target.close();
  await expect.poll(() => pool.stats.size).toBe(0);

  clock.restart();
  let rejected: ServerUnavailableError | undefined;
  const served = Promise.all(
    Array.from({ length: 50 }, async () => {
      for (;;) {
        try {
          return await serverName(pool);
        } catch (error) {
          if (!(error instanceof ServerUnavailableError)) throw error;
          rejected = error;
        }
      }
    }),
  );
  const loginsBefore = s.server.logins.length;
  await clock.pass(20_000);
  expect(rejected?.message).toContain(`:${port}`);
  expect(rejected?.message).toContain('redirected from');
  // Ten side by side, then at once, after 0.25, 0.75, 1.75, 3.75, 7.75, 12.75 and 17.75 s.
  expect(clock.dials.filter((at) => at > 0)).toEqual([250, 750, 1_750, 3_750, 7_750, 12_750, 17_750]);
  expect(s.server.logins.length - loginsBefore).toBe(clock.dials.length);

  const back = await startTarget({ entra: s.entra, port, serverName: 'back', ...clock.serverOptions });
  await clock.pass(5_000);
  expect(await served).toEqual(Array.from({ length: 50 }, () => [['back']]));
  expect(back.logins.length).toBeLessThanOrEqual(10);
  await pool.close();
});

test('the gateway sends clients to a third server: the pool follows with its next logins', async () => {
  await using s = await gatewaySite();
  const [first, third] = [
    await startTarget({ entra: s.entra, serverName: 'first' }),
    await startTarget({ entra: s.entra, serverName: 'third' }),
  ];
  s.sendTo(first);
  const pool = s.pool({ pool: { max: 5 } });
  const borrowed = await Promise.all(Array.from({ length: 5 }, () => pool.acquire()));
  for (const connection of borrowed) pool.release(connection);
  expect(await serverName(pool)).toEqual([['first']]);

  s.sendTo(third);
  await first.close();
  await expect.poll(() => borrowed.every((connection) => (connection as { closed?: boolean }).closed)).toBe(true);
  expect(await Promise.all(Array.from({ length: 20 }, () => serverName(pool)))).toEqual(
    Array.from({ length: 20 }, () => [['third']]),
  );
  expect(third.logins.length).toBeLessThanOrEqual(5);
  expect(s.entra.requests).toHaveLength(1);
});
