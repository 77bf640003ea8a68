import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { PrismaMssql } from '@prisma/adapter-mssql';
import { expect, test } from 'vitest';
import { retryTransaction } from '../../src/index.js';
import { ConnectionPool } from '../../src/mssql/index.js';
import { adapterConfig } from '../../src/orm/prisma.js';
import { site } from '../support/pool.js';
import { generatedClient } from './prisma/generate.js';

/** Answers everything that is not a statement about the session. */
const server = {
  onQuery: (text: string) => (/^(USE|SELECT 1|SET|THROW)/i.test(text) ? undefined : []),
};

test('MikroORM on a pool: sessions are reset, a slow query is reported, and evictAll() reaches it', async () => {
  let answer: (() => void) | undefined;
  await using s = await site({
    server: {
      onQuery(text) {
        if (!text.includes('slow')) return server.onQuery(text);
        return new Promise<[]>((resolve) => {
          answer = () => resolve([]);
        });
      },
    },
  });
  const pool = s.pool({ pool: { max: 1, resetSession: 'always', leakDetectionMillis: 100 } });
  const { init } = await import('./packages/mikro-orm-6/orm.js');
  const orm = await init(pool as never);
  try {
    const execute = (sql: string) => orm.em.getConnection().execute(sql);
    await execute('USE elsewhere');
    await execute('SELECT 1 AS one');
    expect(s.server.sessions.at(-1)?.database).not.toBe('elsewhere');
    expect(s.server.sessions.at(-1)?.resets).toBeGreaterThan(0);

    const { leaks } = pool.stats;
    const running = execute('SELECT total FROM slow');
    await expect.poll(() => answer !== undefined && pool.stats.leaks > leaks, { timeout: 10_000 }).toBe(true);
    answer?.();
    await running;
    expect(pool.stats.borrowers).toEqual([]);

    const { logins } = pool.stats;
    pool.evictAll({ reason: 'roles changed' });
    await execute('SELECT 1 AS one');
    expect(pool.stats).toMatchObject({ logins: logins + 1, evictions: { 'evicted-by-caller': 1 } });

    let runs = 0;
    await retryTransaction(() =>
      orm.em.fork().transactional(async (manager) => {
        runs += 1;
        const inTransaction = manager as unknown as { execute: typeof execute };
        if (runs === 1) await inTransaction.execute("THROW 1205, 'deadlock', 1");
      }),
    );
    expect(runs).toBe(2);
  } finally {
    await orm.close();
  }
});

test('Prisma keeps its own pool: sessions are reset, and features of our pool are refused or have no effect', async () => {
  await using s = await site({ server });
  const pool = { max: 1, resetSession: 'always' };
  const config = { ...s.server.config(), authentication: s.entra.credential(), pool };
  const PrismaClient = await generatedClient();
  const prisma = new PrismaClient({ adapter: new PrismaMssql(adapterConfig(config as never) as never) });
  try {
    await prisma.$executeRawUnsafe('USE elsewhere');
    await prisma.$executeRawUnsafe('SELECT 1 AS one');
    expect(s.server.sessions.at(-1)?.database).not.toBe('elsewhere');
    expect(s.server.sessions.at(-1)?.resets).toBeGreaterThan(0);
  } finally {
    await prisma.$disconnect();
  }
  expect(() => adapterConfig({ ...config, readOnly: true } as never)).toThrow("'readOnly' has no effect");
});

test('the drop-in for mssql sends keepalives too, and its idle connection is used afterwards', async () => {
  await using s = await site();
  const pool = { max: 1, min: 1, keepaliveMillis: 100 };
  const config = { ...s.server.config(), authentication: s.entra.credential(), pool };
  const answered: boolean[] = [];
  const onKeepalive = (message: unknown): void => {
    answered.push((message as { answered: boolean }).answered);
  };
  subscribe('mssql-token-pool:connection:keepalive', onKeepalive);
  const db = await new ConnectionPool(config as never).connect();
  try {
    await expect.poll(() => answered.length, { timeout: 10_000 }).toBeGreaterThan(1);
    expect(answered).not.toContain(false);
    expect((await db.query`SELECT ${1} AS one`).recordset).toEqual([{ one: 1 }]);
    expect(s.server.logins).toHaveLength(1);
  } finally {
    unsubscribe('mssql-token-pool:connection:keepalive', onKeepalive);
    await db.close();
  }
});
