import dns from 'node:dns';
import { afterEach, expect, test, vi } from 'vitest';
import { makeCertificate, startSqlEmulator } from '../../src/testing/index.js';
import { site } from '../support/pool.js';
import { query } from '../support/query.js';

const HOST = 'sql-failover.example';
const certificate = makeCertificate({ commonName: HOST, altNames: [HOST] });

// Of 127.0.0.0/8 macOS has only the first address.
const onLoopbacks = test.skipIf(process.platform === 'darwin');

afterEach(() => void vi.restoreAllMocks());

/** The address that this machine's resolver returns for one name; tedious calls `dns.lookup` for each connection. */
function resolverFor(name: string): { answer: string[]; questions: number } {
  const resolver = { answer: [] as string[], questions: 0 };
  const real = dns.lookup;
  const lookup = (host: string, options: dns.LookupOptions, callback: (...answer: unknown[]) => void): void => {
    if (host !== name) {
      (real as (...args: unknown[]) => void)(host, options, callback);
      return;
    }
    resolver.questions += 1;
    const addresses = resolver.answer.map((address) => ({ address, family: 4 }));
    setImmediate(callback, null, addresses);
  };
  vi.spyOn(dns, 'lookup').mockImplementation(lookup as unknown as typeof dns.lookup);
  return resolver;
}

onLoopbacks(
  'the name of the server moves to another address: new connections go there, nothing is remembered',
  async () => {
    const resolver = resolverFor(HOST);
    await using s = await site({ server: { certificate, serverName: 'primary', host: '127.0.0.1' } });
    const { entra, server } = s;
    const { port } = server;
    await using secondary = await startSqlEmulator({
      ...{ entra, certificate, port, host: '127.0.0.2', serverName: 'secondary' },
    });
    resolver.answer = ['127.0.0.1'];
    const pool = s.pool({ server: HOST, pool: { max: 5 } });
    const name = (): Promise<unknown[][]> => pool.use((c) => query(c, 'SELECT @@SERVERNAME'));
    const borrowed = await Promise.all(Array.from({ length: 5 }, () => pool.acquire()));
    expect(resolver.questions).toBe(5);
    for (const connection of borrowed) pool.release(connection);
    expect(await name()).toEqual([['primary']]);

    resolver.answer = ['127.0.0.2'];
    await server.close();
    await expect.poll(() => borrowed.every((connection) => (connection as { closed?: boolean }).closed)).toBe(true);
    expect(await Promise.all(Array.from({ length: 20 }, name))).toEqual(
      Array.from({ length: 20 }, () => [['secondary']]),
    );
    expect(resolver.questions).toBe(5 + secondary.logins.length);
    expect(entra.requests).toHaveLength(1);
    await pool.close();
  },
);

onLoopbacks('the name still leads to the dead address for a while: the pool recovers when it has moved', async () => {
  const resolver = resolverFor(HOST);
  await using s = await site({ server: { certificate, host: '127.0.0.1' } });
  const { entra, server } = s;
  const { port } = server;
  await using secondary = await startSqlEmulator({
    ...{ entra, certificate, port, host: '127.0.0.2', serverName: 'secondary' },
  });
  resolver.answer = ['127.0.0.1'];
  const pool = s.pool({ server: HOST, pool: { max: 2 } });
  pool.release(await pool.acquire());
  await server.close();
  await expect.poll(() => pool.stats.size).toBe(0);
  await expect(pool.acquire()).rejects.toMatchObject({ message: expect.stringContaining('ECONNREFUSED') });
  await expect(pool.acquire()).rejects.toMatchObject({ message: expect.stringContaining('ECONNREFUSED') });

  resolver.answer = ['127.0.0.2'];
  expect(await pool.use((c) => query(c, 'SELECT @@SERVERNAME'))).toEqual([['secondary']]);
  expect(secondary.logins).toHaveLength(1);
  await pool.close();
});

onLoopbacks('of several addresses the dead one is passed over, one after the other or side by side', async () => {
  const resolver = resolverFor(HOST);
  await using s = await site({ server: { certificate, host: '127.0.0.2' } });
  resolver.answer = ['127.0.0.3', '127.0.0.2'];
  for (const multiSubnetFailover of [false, true]) {
    const { options } = s.server.config();
    const pool = s.pool({ server: HOST, options: { ...options, multiSubnetFailover } as object });
    expect(await pool.use((c) => query(c, 'SELECT 1'))).toEqual([[1]]);
  }
  expect(s.server.logins).toHaveLength(2);
});
