import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { createTokenPool } from '../../src/index.js';
import { plantedSecret, secretIn } from '../hostile/secrets.js';
import { FAULTS } from '../hostile/sql/faults.js';
import { HostileServer } from '../hostile/sql/server.js';
import * as tds from '../hostile/sql/tokens.js';

const TOKEN = plantedSecret(600);
const LOGINS: [string, object][] = [
  [
    'a token',
    { authentication: { getToken: async () => ({ token: TOKEN, expiresOnTimestamp: Date.now() + 3_600_000 }) } },
  ],
  ['a password', { user: 'app', password: TOKEN.slice(0, 40) }],
];

function poolFor(server: HostileServer, login: object) {
  return createTokenPool({
    server: 'localhost',
    port: server.port,
    ...login,
    validateConnection: false,
    options: { encrypt: true, trustServerCertificate: true },
    pool: { max: 2, acquireTimeoutMillis: 10_000 },
  } as never);
}

async function printedFailure(pool: ReturnType<typeof poolFor>): Promise<string> {
  const error: unknown = await pool.acquire().catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(Error);
  return inspect(error, { depth: 10, showHidden: true });
}

test.each(LOGINS)('an error does not show %s that the server knows from an earlier connection', async (_, login) => {
  await using server = await HostileServer.start();
  await using pool = poolFor(server, login);
  const first = await pool.acquire();
  server.misbehaveAt('login7', (visit) =>
    visit.send(Buffer.concat([tds.message('error', { number: 18456, text: `Refused: ${TOKEN}` }), tds.done(0xfd, 2)])),
  );
  expect(secretIn(await printedFailure(pool), [TOKEN.slice(0, 40)])).toBeUndefined();
  pool.release(first);
});

test.each(LOGINS)(
  'an error does not show %s that a server disguises, puts into names, or has looked up',
  async (how, login) => {
    const names = ['an echo in disguise', 'an echo as the name of a server'] as const;
    for (const name of names) {
      for (let pick = 0; pick < 11; pick += 1) {
        await using server = await HostileServer.start();
        await using pool = poolFor(server, login);
        // Each of the disguises in turn.
        const random = { pick: (choices: readonly unknown[]) => choices[pick % choices.length] };
        const fault = FAULTS[name]?.({ random } as never);
        server.misbehaveAt(how === 'a token' ? 'token' : 'login7', fault as never);
        const printed = await printedFailure(pool);
        expect(secretIn(printed, [TOKEN.slice(0, 40)]), `${name}, ${pick}: ${printed}`).toBeUndefined();
      }
    }
  },
);

test('an error on a live session does not show the token either', async () => {
  await using server = await HostileServer.start();
  await using pool = poolFor(server, LOGINS[0]?.[1] as object);
  const { Request } = await import('tedious');
  server.misbehaveAt(
    'request',
    FAULTS['an echo in disguise']?.({ random: { pick: ([first]: unknown[]) => first } } as never) as never,
  );
  const error = await pool.use(
    (connection) =>
      new Promise((resolve) => connection.execSql(new Request('SELECT 1', (failure) => resolve(failure)))),
  );
  const printed = inspect(error, { depth: 10, showHidden: true });
  expect(printed).toContain('18456');
  expect(secretIn(printed, [TOKEN])).toBeUndefined();
});
