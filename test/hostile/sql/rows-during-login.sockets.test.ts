import stock from 'mssql';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTokenPool, withTokenRefresh } from '../../../src/index.js';
import sql from '../../../src/mssql/index.js';
import { ProcessWatch } from '../process-watch.js';
import { HostileServer } from './server.js';
import * as tds from './tokens.js';

/** Tokens that answer a query, where the driver has only set its session options. */
const ANSWERS: Readonly<Record<string, Buffer>> = {
  'a row without columns': Buffer.from([0xd1, 4, 1, 0, 0, 0]),
  'a compressed row without columns': Buffer.from([0xd2, 0]),
  'columns and a row': tds.oneRow(tds.Type.Batch, 1),
  'an order': Buffer.from([0xa9, 2, 0, 1, 0]),
};

const credential = { getToken: async () => ({ token: 'a.b.c', expiresOnTimestamp: Date.now() + 3_600_000 }) };
const LOGINS: Readonly<Record<string, object>> = {
  'a token': { authentication: credential },
  'a SQL login': { user: 'app', password: 'not a secret' },
};

async function connectMssql(pool: stock.ConnectionPool, listens: boolean): Promise<void> {
  if (listens) pool.on('error', () => {});
  await pool.connect();
  await pool.close();
}

const WAYS: Readonly<Record<string, (config: never) => Promise<void>>> = {
  async createTokenPool(config) {
    await using pool = createTokenPool(config);
    await pool.use(() => undefined);
  },
  'the drop-in': (config) => connectMssql(new sql.ConnectionPool(config) as never, false),
  'withTokenRefresh, no listener for errors': (config) =>
    connectMssql(new stock.ConnectionPool(withTokenRefresh(config) as never), false),
  // As Prisma's adapter has it: the pool's 'error' then reaches the caller of connect(), instead of being thrown.
  'withTokenRefresh, a listener for errors': (config) =>
    connectMssql(new stock.ConnectionPool(withTokenRefresh(config) as never), true),
};

let watch: ProcessWatch;
beforeAll(() => {
  watch = new ProcessWatch();
});
afterAll(() => watch[Symbol.dispose]());

describe.each(Object.keys(WAYS))('%s', (way) => {
  test.each(Object.keys(ANSWERS).flatMap((answer) => Object.keys(LOGINS).map((login) => [login, answer])))(
    'fails a login with %s that is answered with %s, as an answer that breaks the protocol',
    async (login, answer) => {
      await using server = await HostileServer.start();
      server.misbehaveAt('first batch', (visit) =>
        visit.send(Buffer.concat([ANSWERS[answer] as Buffer, tds.done(0xfd)])),
      );
      const config = {
        server: 'localhost',
        port: server.port,
        ...LOGINS[login],
        options: { encrypt: true, trustServerCertificate: true },
        pool: { max: 1, acquireTimeoutMillis: 10_000 },
      };
      const open = WAYS[way] as (config: object) => Promise<void>;
      const error = await open(config).then(
        () => undefined,
        (reason: unknown) => reason as Error & { code: unknown },
      );
      expect(error).toMatchObject({ code: expect.stringMatching(/^E(RR_SERVER_UNAVAILABLE|PROTO)$/) });
      expect(error?.message).toContain('not a valid TDS response');
      await expect.poll(() => server.open).toBe(0);
      expect(watch.strays).toEqual([]);
    },
  );
});
