import type { Connection } from 'tedious';
import { describe, expect, test } from 'vitest';
import { AcquireTimeoutError } from '../../src/errors.js';
import type { DrivenConnection } from '../support/driven-server.js';
import { borrowAtOnce, driven, drivenWorld, MINUTE, outcome, pass, SECOND, settled } from '../support/driven-world.js';

const world = drivenWorld();
const { aPool, borrow, opened } = world;

/** The server cuts each session this long after its login. */
function cutAfterLogin(ms: number): void {
  const known = new WeakSet<object>();
  const look = setInterval(() => {
    for (const connection of world.server.connections) {
      if (connection.state.name !== 'LoggedIn' || known.has(connection)) continue;
      known.add(connection);
      setTimeout(() => {
        // As tedious's listener for errors leaves it.
        Object.assign(connection, { hasError: true });
        connection.end();
      }, ms);
    }
  }, 1);
  cutting = () => clearInterval(look);
}
let cutting = (): void => {};

function cutOne(connections: Iterable<DrivenConnection>): void {
  const [connection] = connections;
  Object.assign(connection ?? {}, { hasError: true });
  connection?.end();
}

/** Dials in each of the next seconds. */
async function dialsPerSecond(seconds: number): Promise<number[]> {
  const counts: number[] = [];
  for (let i = 0; i < seconds; i += 1) {
    world.server.dials = [];
    await pass(SECOND);
    counts.push(world.server.dials.length);
  }
  return counts;
}

const sum = (numbers: number[]): number => numbers.reduce((a, b) => a + b, 0);

test.each([1, 10, 60, 500])(
  'min connections whose sessions end %i ms after their login are opened ever more rarely',
  async (ms) => {
    cutAfterLogin(ms);
    const pool = aPool({ max: 10, min: 5 });
    const first = sum(await dialsPerSecond(4));
    expect(first).toBeLessThanOrEqual(16);
    expect(sum(await dialsPerSecond(60))).toBeLessThanOrEqual(8);
    expect(pool.health()).toMatchObject({ reasons: [{ code: 'cannot-connect' }] });
    // The first two may have been a failover.
    expect(world.events.filter(({ name }) => name === 'pool:failover').length).toBeLessThanOrEqual(2);
    cutting();
    await pass(2 * MINUTE);
    expect(pool.stats.size).toBe(5);
    expect(pool.health()).toEqual({ status: 'ok', reasons: [] });
  },
);

test('health() is never ok between two such sessions, and reports their end as the reason', async () => {
  cutAfterLogin(10);
  const pool = aPool({ max: 3, min: 2 });
  await pass(100);
  for (let i = 0; i < 100; i += 1) {
    await pass(137);
    expect(pool.health().status).not.toBe('ok');
    expect(pool.health().reasons[0]?.message).toMatch(/The session ended \d+ ms after its login/);
  }
  cutting();
});

/** The settings that test a connection at each checkout; the answer to such a test serves no caller. */
const tests: Record<string, { validateConnection?: true; pool?: object }> = {
  'without a test': {},
  'with validateConnection: true': { validateConnection: true },
  'with pool.validate': { pool: { validate: (connection: never) => requested(connection).then(() => true) } },
  'with keepaliveMillis': { pool: { keepaliveMillis: 20 } },
};

test.each(Object.keys(tests))(
  '%s, sessions that end before their callers use them are backed off from',
  async (which) => {
    const { validateConnection, pool: settings } = tests[which] ?? {};
    const pool = aPool({ max: 1, acquireTimeoutMillis: 20 * SECOND, ...settings }, { validateConnection });
    let isOver = false;
    const caller = (async () => {
      while (!isOver) {
        const connection = await pool.acquire().catch(() => undefined);
        if (connection !== undefined) {
          Object.assign(connection, { hasError: true });
          driven(connection).end();
          pool.release(connection);
        }
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    })();
    await pass(30 * SECOND);
    expect(pool.stats.logins).toBeLessThanOrEqual(15);
    isOver = true;
    await pass(30 * SECOND);
    await caller;
  },
);

test('callers whose connections end during their first use do not log in more often than every few seconds', async () => {
  cutAfterLogin(5);
  const pool = aPool({ max: 5, acquireTimeoutMillis: 20 * SECOND });
  let isOver = false;
  const callers = Array.from({ length: 5 }, async () => {
    while (!isOver) {
      const connection = await pool.acquire().catch(() => undefined);
      if (connection === undefined) continue;
      await new Promise((resolve) => setTimeout(resolve, 20));
      if (isOver) return;
      pool.release(connection);
    }
  });
  await pass(10 * SECOND);
  expect(sum(await dialsPerSecond(30))).toBeLessThanOrEqual(30 / 3);
  isOver = true;
  cutting();
  await pass(30 * SECOND);
  await Promise.all(callers);
});

/** What the server or the network does to each connection during its first request, in the order in which tedious reports it. */
const ends: Record<string, () => void> = {
  'the connection is lost': () => {
    world.server.query = (connection) => {
      Object.assign(connection, { closed: true, state: { name: 'Final' } });
      queueMicrotask(() => {
        process.nextTick(() => connection.end());
        // After the callback of the request.
        queueMicrotask(() => process.nextTick(() => connection.emit('error', new Error('Connection lost'))));
      });
      return new Error('Connection lost');
    };
  },
  'the server ends the session': () => {
    world.server.query = (connection) => {
      connection.emit('errorMessage', { number: 596, class: 21, state: 1, message: 'Session is in the kill state.' });
      queueMicrotask(() => process.nextTick(() => connection.end()));
      return new Error('Session is in the kill state.');
    };
  },
};

/** A request whose callback returns its connection, with `how`. */
function requestThat(how: (connection: Connection) => void): (connection: Connection) => Promise<void> {
  return (connection) =>
    new Promise((resolve) => {
      const done = () => {
        how(connection);
        resolve();
      };
      driven(connection).execSqlBatch({ sql: 'SELECT 1', done });
    });
}

describe.each(Object.keys(ends))('%s during a request whose callback returns the connection', (end) => {
  test.each(['release', 'destroy'] as const)('with %s: few logins, and health() is not ok', async (how) => {
    ends[end]?.();
    const pool = aPool({ max: 1, acquireTimeoutMillis: 20 * SECOND });
    const request = requestThat((connection) => pool[how](connection));
    let isOver = false;
    const caller = (async () => {
      while (!isOver) {
        await pool.acquire().then(request, () => undefined);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    })();
    await pass(4 * SECOND);
    expect(pool.stats.logins).toBeLessThanOrEqual(8);
    expect(pool.health()).toMatchObject({ status: 'down', reasons: [{ code: 'cannot-connect' }] });
    world.server.query = () => null;
    isOver = true;
    await pass(10 * SECOND);
    await caller;
  });
});

function endWith(number: number): (connection: DrivenConnection) => Promise<void> {
  return async (connection) => {
    world.server.query = () => {
      connection.emit('errorMessage', { number, class: 24, state: 1, message: 'The session ends.' });
      return new Error('The session ends.');
    };
    await requested(connection);
    world.server.query = () => null;
    connection.end();
  };
}

function requested(connection: DrivenConnection): Promise<void> {
  return new Promise((resolve) => connection.execSqlBatch({ sql: 'SELECT 1', done: () => resolve() }));
}

/** Signs that the server works, although each session ends within its first seconds. */
const answers: Record<string, (connection: DrivenConnection) => unknown> = {
  'ends a session with an error of severity 20 or more': endWith(824),
  'answers a request before it ends the session': (connection) =>
    requested(connection).then(() => endWith(596)(connection)),
  'answers a request before the session is lost': async (connection) => {
    await requested(connection);
    Object.assign(connection, { hasError: true });
    queueMicrotask(() => connection.end());
  },
};

test.each(Object.keys(answers))('a server that %s is not backed off from', async (what) => {
  const pool = aPool({ max: 1, acquireTimeoutMillis: 20 * SECOND });
  for (let i = 0; i < 6; i += 1) {
    const startedAt = performance.now();
    const borrowed = outcome(pool.acquire());
    await pass(100);
    const connection = settled(borrowed);
    expect((borrowed.at ?? 0) - startedAt).toBeLessThan(100);
    await answers[what]?.(driven(connection));
    pool.release(connection);
    await pass(SECOND);
  }
  expect(pool.stats.logins).toBe(6);
  expect(pool.health()).toEqual({ status: 'ok', reasons: [] });
});

test('one session that is cut right after its login costs no pause', async () => {
  const pool = aPool({ max: 1 });
  await opened(pool, 1);
  world.server.cut();
  await opened(pool, 1);
  expect(pool.stats).toMatchObject({ size: 1, logins: 2 });
});

test.each(['has lasted for 10 s', 'is returned'])(
  'a session that was opened before the server went down, and %s, does not end the pauses between dials',
  async (what) => {
    const pool = aPool({ min: 1, max: 2 });
    await pass(SECOND);
    world.server.cut();
    await pass(3 * SECOND);
    const old = await borrowAtOnce(pool);
    world.server.isDown = true;
    let isOver = false;
    const caller = (async () => {
      while (!isOver) {
        await pool.acquire().then(pool.release.bind(pool), () => undefined);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    })();
    const before = await dialsPerSecond(6);
    expect(sum(before)).toBeGreaterThan(2);
    if (what === 'is returned') {
      pool.release(old);
      // The caller gets it; the next one has to dial again.
      await borrowAtOnce(pool);
    }
    // By now the pauses are seconds long.
    for (const dials of await dialsPerSecond(14)) expect(dials).toBeLessThanOrEqual(1);
    isOver = true;
    world.server.recover();
    await pass(20 * SECOND);
    await caller;
  },
);

test('a session returned while the server is down does not make the pool dial for pool.min again', async () => {
  const pool = aPool({ min: 2, max: 2, idleTimeoutMillis: 60 * MINUTE });
  await pass(SECOND);
  for (let i = 0; i < 2; i += 1) {
    cutOne(world.server.connections);
    await pass(2 * SECOND);
  }
  const old = await borrowAtOnce(pool);
  await pass(20 * SECOND);
  world.server.isDown = true;
  for (const connection of [...world.server.connections]) if (connection !== driven(old)) connection.end();
  // By now, a minute passes between two attempts.
  const before = await dialsPerSecond(5 * 60);
  expect(sum(before.slice(-60))).toBeLessThanOrEqual(1);
  pool.release(old);
  expect(sum(await dialsPerSecond(60))).toBeLessThanOrEqual(1);
});

test('a connection that a caller returns ends the pauses', async () => {
  cutAfterLogin(1);
  const pool = aPool({ max: 5, min: 5 });
  await pass(10 * SECOND);
  cutting();
  const acquired = outcome(pool.acquire());
  await pass(5.5 * SECOND);
  pool.release(settled(acquired));
  expect(pool.health()).toEqual({ status: 'ok', reasons: [] });
  await pass(100);
  expect(pool.stats.size).toBe(5);
});

test.each([
  ['pool.validate returns false', () => false, /pool\.validate did not return true/],
  ['pool.validate returns nothing', () => undefined as unknown as boolean, /pool\.validate did not return true/],
  ['pool.validate rejects', () => Promise.reject(new Error('no such view')), /no such view/],
  [
    'pool.validate throws',
    () => {
      throw new Error('no such view');
    },
    /no such view/,
  ],
])(
  'where %s for each new connection, the caller gets that as the cause, after few logins',
  async (_, validate, cause) => {
    const pool = aPool({ max: 1, acquireTimeoutMillis: 600, validate });
    const acquired = outcome(pool.acquire());
    await pass(601);
    expect(acquired.error).toBeInstanceOf(AcquireTimeoutError);
    expect(acquired.error).toMatchObject({
      hint: expect.stringContaining('the cause says why'),
      cause: { code: 'ERR_SERVER_UNAVAILABLE', cause: { message: expect.stringMatching(cause) } },
    });
    expect(pool.stats.logins).toBeLessThanOrEqual(4);
    expect(pool.health()).toMatchObject({ status: 'down', reasons: [{ code: 'cannot-connect' }] });
  },
);

test("if SELECT 1 fails on each new connection, the caller gets the server's error as the cause", async () => {
  world.server.query = () => new Error('There is insufficient system memory.');
  const pool = aPool({ max: 3, acquireTimeoutMillis: 2 * SECOND }, { validateConnection: true });
  const acquired = [1, 2, 3].map(() => outcome(pool.acquire()));
  await pass(2_001);
  for (const { error } of acquired) {
    expect(error).toMatchObject({ cause: { cause: { message: 'There is insufficient system memory.' } } });
  }
  expect(pool.stats.logins).toBeLessThanOrEqual(9);
  world.server.query = () => null;
  await pass(5 * SECOND);
  const later = outcome(pool.acquire());
  await pass(100);
  pool.release(settled(later));
  expect(pool.health()).toEqual({ status: 'ok', reasons: [] });
});

test('a pool.validate that never answers is given as the reason', async () => {
  const pool = aPool({ max: 1, acquireTimeoutMillis: SECOND, validate: () => new Promise<boolean>(() => {}) });
  for (let i = 0; i < 3; i += 1) {
    const acquired = outcome(pool.acquire());
    await pass(1_001);
    expect(acquired.error).toBeInstanceOf(AcquireTimeoutError);
  }
  expect(pool.health()).toMatchObject({ status: 'down', reasons: [{ message: expect.stringContaining('its test') }] });
});

test('a caller that leaves during a test does not count', async () => {
  const pool = aPool({ max: 1, validate: () => new Promise<boolean>(() => {}) });
  for (let i = 0; i < 5; i += 1) {
    const leaves = new AbortController();
    outcome(pool.acquire({ signal: leaves.signal }));
    await pass(50);
    leaves.abort();
    await pass(50);
  }
  expect(pool.health()).toEqual({ status: 'ok', reasons: [] });
  expect(pool.stats.logins).toBe(5);
});

test('a connection that a caller closes itself does not count', async () => {
  const pool = aPool({ max: 1 });
  for (let i = 0; i < 5; i += 1) {
    const connection = i === 0 ? (await borrow(pool, 1))[0] : settled(outcomeOfLogin);
    driven(connection).close();
    await pass(1);
    pool.release(connection as never);
    outcomeOfLogin = outcome(pool.acquire());
    await pass(20);
  }
  pool.release(settled(outcomeOfLogin));
  expect(pool.health()).toEqual({ status: 'ok', reasons: [] });
  pool.release(await borrowAtOnce(pool));
});
let outcomeOfLogin: ReturnType<typeof outcome<Awaited<ReturnType<typeof borrowAtOnce>>>>;

test('connections that the pool itself closes right after their login have not failed', async () => {
  const pool = aPool({ max: 3, min: 3 });
  await pass(SECOND);
  for (let i = 1; i <= 6; i += 1) {
    pool.evictAll();
    await pass(SECOND);
    expect(pool.health().status).toBe('ok');
    expect(pool.stats).toMatchObject({ size: 3, logins: 3 + 3 * i });
  }
});

test('a connection that is cut at the end of its login is not kept', async () => {
  const { Connection } = world.server.tedious;
  let cuts = 1;
  class CutAfterLogin extends Connection {
    override connect(done?: (error?: Error) => void): void {
      super.connect((error) => {
        done?.(error);
        cuts -= 1;
        if (cuts === 0) driven(this).end();
      });
    }
  }
  const pool = aPool({ max: 1, min: 1 }, { tedious: { ...world.server.tedious, Connection: CutAfterLogin } });
  await pass(10 * SECOND);
  expect([pool.stats.size, world.server.connections.size]).toEqual([1, 1]);
  expect(pool.stats).toMatchObject({ logins: 2, evictions: { broken: 1 } });
});

test('a session that has served callers and is cut a few seconds after its login is no failed login', async () => {
  const pool = aPool({ max: 1, min: 0 });
  for (let i = 0; i < 3; i += 1) {
    const [connection] = (await borrow(pool, 1)) as [Connection];
    if (i === 2) {
      Object.assign(connection, { hasError: true });
      driven(connection).end();
    }
    await pass(SECOND);
    pool.release(connection);
  }
  expect(pool.stats).toMatchObject({ size: 0, evictions: { broken: 1 } });
  expect(pool.health()).toEqual({ status: 'ok', reasons: [] });
});
