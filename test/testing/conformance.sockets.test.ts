import { Connection, Request } from 'tedious';
import { expect, test } from 'vitest';
import { createTokenPool } from '../../src/index.js';
import { conformance, type OpenPool, type PoolSetup, requirements } from '../../src/testing/conformance/index.js';
import { named } from '../support/named.js';

/** A naive pool: one connection for all callers, always on the first token. */
const naive: OpenPool<Connection> = async (setup) => {
  const { token } = await setup.credential.getToken('https://database.windows.net/.default');
  let open: Promise<Connection> | undefined;
  return {
    acquire: () => {
      open ??= connect(setup, token).catch((error) => {
        open = undefined;
        throw error;
      });
      return open;
    },
    release: () => {},
    query: firstValue,
    close: async () => (await open?.catch(() => undefined))?.close(),
  };
};

function connect({ config, acquireTimeoutMillis }: PoolSetup, token: string): Promise<Connection> {
  const { server, port, options } = config;
  const connection = new Connection({
    server,
    options: { ...options, port, connectTimeout: acquireTimeoutMillis } as object,
    authentication: { type: 'azure-active-directory-access-token', options: { token } },
  });
  connection.on('error', () => {});
  return new Promise((resolve, reject) => {
    connection.connect((error) => (error ? reject(error) : resolve(connection)));
  });
}

function firstValue(connection: Connection, sql: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    let value: unknown;
    const request = new Request(sql, (error) => (error ? reject(error) : resolve(value)));
    request.on('row', ([column]: { value: unknown }[]) => {
      value ??= column?.value;
    });
    connection.execSqlBatch(request);
  });
}

// Most of the time is spent waiting for tokens to expire, so all requirements run concurrently.
test.concurrent.each(named(requirements, 'title'))('this package: %s', async (_, { id }) => {
  const ours: OpenPool<Connection> = ({ config, credential, max, acquireTimeoutMillis }) => {
    const pool = createTokenPool({ ...config, authentication: credential, pool: { max, acquireTimeoutMillis } });
    return {
      acquire: () => pool.acquire(),
      release: (connection) => pool.release(connection),
      query: firstValue,
      close: () => pool.close(),
    };
  };
  expect(await conformance(ours as OpenPool, { only: [id] })).toMatchObject([{ id, passed: true, seen: undefined }]);
});

test.concurrent('reports the failures of a pool with a static token', async () => {
  const [expired] = await conformance(naive as OpenPool, { only: ['no-expired-session'] });
  expect(expired).toMatchObject({ id: 'no-expired-session', passed: false, seen: expect.stringContaining('failed') });
});

test('passes a pool that makes one token request for a burst of callers', async () => {
  const one: OpenPool<Connection> = async (setup) => {
    const pool = await naive(setup);
    // One connection, so one query at a time.
    let turn: Promise<unknown> = Promise.resolve();
    return {
      ...pool,
      query(connection, sql) {
        turn = turn.then(() => firstValue(connection as Connection, sql));
        return turn;
      },
    };
  };
  expect(await conformance(one as OpenPool, { only: ['single-flight'] })).toEqual([
    { id: 'single-flight', title: expect.any(String), passed: true, seen: undefined },
  ]);
});

test.concurrent('a pool that hangs or throws fails the requirement, and the suite continues', async () => {
  /** Works once, when the suite tries the adapter. */
  const later = (open: OpenPool): OpenPool => {
    let opened = 0;
    return (setup) => {
      opened += 1;
      return opened === 1 ? (naive as OpenPool)(setup) : open(setup);
    };
  };
  const hangs = later(() => new Promise(() => {}));
  const throws = later(() => {
    throw new Error('no pool today');
  });
  expect(await conformance(hangs, { only: ['single-flight'], timeoutMs: 5000 })).toMatchObject([
    { passed: false, seen: 'did not end within 5000 ms' },
  ]);
  expect(await conformance(throws, { only: ['single-flight', 'bounded'] })).toMatchObject([
    { passed: false, seen: 'failed: no pool today' },
    { passed: false },
  ]);
});

test('the error for an unknown requirement lists the existing ones', async () => {
  await expect(conformance(naive as OpenPool, { only: ['single-fight'] })).rejects.toThrow(
    /no requirement is named 'single-fight'.*single-flight/,
  );
  expect(new Set(requirements.map(({ id }) => id)).size).toBe(requirements.length);
});

test.concurrent.each<[string, unknown, RegExp]>([
  ['no function', undefined, /first argument is of type undefined; it must be a function/],
  ['a pool in place of a function', { acquire: () => {} }, /first argument is of type object/],
  [
    'a function that returns nothing',
    async () => undefined,
    /returned a value of type undefined; it must return acquire, release, query, close/,
  ],
  ['a pool without methods', async () => ({ close() {} }), /no function 'acquire', 'release', 'query'/],
  [
    'a function that throws',
    async () => {
      throw new Error('my pool broke');
    },
    /cannot run SELECT 1 \(my pool broke\), so no requirement was checked/,
  ],
  [
    'a pool that answers nothing',
    async () => ({ acquire: async () => 1, release() {}, query: async () => undefined, close() {} }),
    /query\(\) must resolve with the first column/,
  ],
  [
    'a pool that hangs',
    async () => ({ acquire: () => new Promise(() => {}), release() {}, query: async () => 1, close() {} }),
    /cannot run SELECT 1 \(did not end within 100 ms\)/,
  ],
])('refuses an adapter that does not work: %s', async (name, open, message) => {
  // The others end by themselves, on a slow machine too.
  const timeoutMs = name === 'a pool that hangs' ? 100 : undefined;
  await expect(conformance(open as OpenPool, { only: ['single-flight'], timeoutMs })).rejects.toThrow(message);
});

test.concurrent.each<[string, object, RegExp]>([
  ['only', { only: 'single-flight' }, /only must be an array/],
  ['only', { only: [] }, /only is empty, so nothing would be checked/],
  ['timeoutMs', { timeoutMs: '5' }, /timeoutMs is 5; it must be a number greater than 0/],
  ['timeoutMs', { timeoutMs: 0 }, /timeoutMs is 0/],
])('refuses a value of %s that cannot be used: %j', async (_, options, message) => {
  await expect(conformance(naive as OpenPool, options)).rejects.toThrow(message);
});
