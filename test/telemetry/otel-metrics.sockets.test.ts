import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { PrometheusExporter, PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import { DataPointType, MeterProvider, type MetricData } from '@opentelemetry/sdk-metrics';
import * as conventions from '@opentelemetry/semantic-conventions/incubating';
import { expect, test, vi } from 'vitest';
import { type ChannelName, publish } from '../../src/channels.js';
import { instrument } from '../../src/telemetry/otel.js';
import { site } from '../support/pool.js';

/** The real SDK with its Prometheus exporter, read without its HTTP server. */
function measuring() {
  const reader = new PrometheusExporter({ preventServerStart: true });
  const meterProvider = new MeterProvider({ readers: [reader] });
  const instrumentation = instrument({ meterProvider });
  const collect = async () => (await reader.collect()).resourceMetrics;
  return {
    async metrics(): Promise<MetricData[]> {
      return (await collect()).scopeMetrics.flatMap((scope) => scope.metrics);
    },
    /** Value of the only data point with these attributes; the count of a histogram. */
    async value(name: string, attributes: Record<string, string> = {}): Promise<number | undefined> {
      const metric = (await this.metrics()).find(({ descriptor }) => descriptor.name === name);
      const points = metric?.dataPoints.filter((point) =>
        Object.entries(attributes).every(([key, value]) => point.attributes[key] === value),
      );
      if (points === undefined || points.length === 0) return undefined;
      expect(points).toHaveLength(1);
      const value = points[0]?.value as number | { count: number };
      return metric?.dataPointType === DataPointType.HISTOGRAM ? (value as { count: number }).count : (value as number);
    },
    async prometheus(): Promise<string> {
      return new PrometheusSerializer().serialize(await collect());
    },
    meterProvider,
    [Symbol.dispose]: instrumentation.stop,
  };
}

/** Only the comments of the installed package say which names are deprecated. */
function deprecatedMetrics(): Set<string> {
  const folder = dirname(createRequire(import.meta.url).resolve('@opentelemetry/semantic-conventions'));
  const types = readFileSync(join(folder, 'experimental_metrics.d.cts'), 'utf8');
  const declared = types.matchAll(/\/\*\*([\s\S]*?)\*\/\s*declare const METRIC_\w+: "([^"]+)"/g);
  const deprecated = [...declared].flatMap(([, comment = '', name = '']) => (/@deprecated/.test(comment) ? name : []));
  expect(deprecated).toContain('db.client.connection.max');
  return new Set(deprecated);
}

test('every db.client.connection metric has a current name of the semantic conventions, and its unit', async () => {
  using otel = measuring();
  await using here = await site();
  await here.pool().use(() => {});
  const known = new Set<unknown>(
    Object.entries(conventions).flatMap(([key, v]) => (key.startsWith('METRIC_') ? v : [])),
  );
  const metrics = (await otel.metrics()).map(({ descriptor }) => descriptor);
  const ofPools = metrics.filter(({ name }) => name.startsWith('db.'));
  expect(ofPools.map(({ name }) => name).filter((name) => !known.has(name) || deprecatedMetrics().has(name))).toEqual(
    [],
  );
  expect(Object.fromEntries(ofPools.map(({ name, unit }) => [name, unit]))).toEqual({
    'db.client.connection.count': '{connection}',
    'db.client.connection.idle.max': '{connection}',
    'db.client.connection.idle.min': '{connection}',
    'db.client.connection.limit': '{connection}',
    'db.client.connection.pending_requests': '{request}',
    'db.client.connection.create_time': 's',
    'db.client.connection.wait_time': 's',
    'db.client.connection.use_time': 's',
  });
  expect(
    metrics.filter(({ name }) => !name.startsWith('db.')).every(({ name }) => name.startsWith('mssql_token_pool.')),
  ).toBe(true);
});

test('counts connections by state, waiting callers, and the limits', async () => {
  using otel = measuring();
  await using here = await site();
  const pool = here.pool({ pool: { max: 2, min: 0 } });
  const count = (state: string) => otel.value('db.client.connection.count', { 'db.client.connection.state': state });
  const one = await pool.acquire();
  expect([await count('used'), await count('idle')]).toEqual([1, 0]);
  pool.release(await pool.acquire());
  expect([await count('used'), await count('idle')]).toEqual([1, 1]);
  expect(await otel.value('db.client.connection.limit')).toBe(2);
  expect(await otel.value('db.client.connection.idle.min')).toBe(0);
  const two = await pool.acquire();
  const waiting = pool.acquire();
  expect(await otel.value('db.client.connection.pending_requests')).toBe(1);
  pool.release(one);
  pool.release(await waiting);
  pool.release(two);
  expect(await otel.value('db.client.connection.wait_time')).toBe(4);
  expect(await otel.value('db.client.connection.use_time')).toBe(4);
  expect(await otel.value('db.client.connection.create_time')).toBe(2);
});

test('reports whether a pool and its read-only companion are suspended', async () => {
  using otel = measuring();
  await using here = await site();
  const pool = here.pool({ readOnly: true });
  const suspended = async () => {
    const all = (await otel.metrics()).find(({ descriptor }) => descriptor.name === 'mssql_token_pool.pool.suspended');
    return all?.dataPoints.map(({ value }) => value);
  };
  expect(await suspended()).toEqual([0, 0]);
  pool.suspend();
  expect(await suspended()).toEqual([1, 1]);
  pool.resume();
  expect(await suspended()).toEqual([0, 0]);
});

test('counts a caller that gives up waiting as a timeout', async () => {
  using otel = measuring();
  await using here = await site();
  const pool = here.pool({ pool: { acquireTimeoutMillis: 50 } });
  here.server.pause();
  await expect(pool.acquire()).rejects.toMatchObject({ code: 'ERR_ACQUIRE_TIMEOUT' });
  expect(await otel.value('db.client.connection.timeouts')).toBe(1);
});

const POOL = { 'db.client.connection.pool.name': 'p' };

test.each<[ChannelName, object, metric: string, attributes: Record<string, unknown>]>([
  ['connection:leaked', { connection: 1 }, 'connection.leaks', POOL],
  [
    'connection:reset',
    { connection: 1, roundTrip: true },
    'connection.resets',
    { ...POOL, 'mssql_token_pool.reset.round_trip': true },
  ],
  [
    'connection:keepalive',
    { answered: false },
    'connection.keepalives',
    { ...POOL, 'mssql_token_pool.keepalive.answered': false },
  ],
  ['pool:failover', { sign: 'read-only' }, 'failovers', { ...POOL, 'mssql_token_pool.failover.sign': 'read-only' }],
  [
    'pool:fallback',
    { error: Object.assign(new Error('x'), { code: 'ERR_SERVER_UNAVAILABLE' }) },
    'fallbacks',
    { ...POOL, 'error.type': 'ERR_SERVER_UNAVAILABLE' },
  ],
  ['transaction:retried', { number: 1205 }, 'transaction.retries', { 'db.response.status_code': '1205' }],
])('each %s with %j is counted once', async (event, payload, name, attributes) => {
  using otel = measuring();
  publish(event, () => ({ pool: 'p', ...payload }) as never);
  publish(event, () => ({ pool: 'p', ...payload }) as never);
  const metric = (await otel.metrics()).find(({ descriptor }) => descriptor.name === `mssql_token_pool.${name}`);
  expect(metric?.dataPoints.map((point) => [point.attributes, point.value])).toEqual([[attributes, 2]]);
});

test('does not report a closed pool', async () => {
  using otel = measuring();
  await using here = await site();
  const pool = here.pool();
  await pool.use(() => {});
  await pool.close();
  expect(await otel.value('db.client.connection.count')).toBeUndefined();
  expect(
    await otel.value('mssql_token_pool.connection.evictions', { 'mssql_token_pool.eviction.reason': 'pool-closed' }),
  ).toBe(1);
});

test('reports a pool that was closed since the last collection as empty, not as it was', async () => {
  using otel = measuring();
  await using here = await site();
  const pool = here.pool({ pool: { max: 1 } });
  const held = await pool.acquire();
  const waiting = pool.acquire().catch(() => undefined);
  pool.suspend();
  const values = async () => {
    const count = (state: string) => otel.value('db.client.connection.count', { 'db.client.connection.state': state });
    const names = ['connection.pending_requests', 'connection.limit', 'connection.idle.max'];
    const others = names.map((name) => otel.value(`db.client.${name}`));
    const suspended = otel.value('mssql_token_pool.pool.suspended');
    return await Promise.all([count('used'), count('idle'), ...others, suspended]);
  };
  expect(await values()).toEqual([1, 0, 1, 1, 1, 1]);
  const closing = pool.close();
  pool.release(held);
  await closing;
  await waiting;
  expect(await values()).toEqual([0, 0, 0, 0, 0, 0]);
  expect(await values()).toEqual([0, 0, 0, 0, 0, 0]);
});

test('reports the age and the remaining life of a token at every collection', async () => {
  using otel = measuring();
  await using here = await site({ entra: { tokenLifetimeSeconds: 600 } });
  const start = Date.now();
  const pool = here.pool();
  await pool.use(() => {});
  const { tokenExpiresOn = 0 } = pool.stats;
  const before = Date.now();
  const left = await otel.value('mssql_token_pool.token.life_left');
  const age = await otel.value('mssql_token_pool.token.age');
  const after = Date.now();
  expect(left).toBeLessThanOrEqual((tokenExpiresOn - before) / 1000);
  expect(left).toBeGreaterThanOrEqual((tokenExpiresOn - after) / 1000);
  expect(age).toBeGreaterThanOrEqual(0);
  expect(age).toBeLessThanOrEqual((after - start) / 1000);
  expect(await otel.value('mssql_token_pool.token.request.duration')).toBe(1);
});

test('counts a failed token request by the code of its error', async () => {
  using otel = measuring();
  await using here = await site();
  here.entra.fail({ status: 503 });
  await expect(here.pool().acquire()).rejects.toMatchObject({ code: 'ERR_TOKEN_UNAVAILABLE' });
  expect(await otel.value('mssql_token_pool.token.request.failures', { 'error.type': 'ERR_TOKEN_UNAVAILABLE' })).toBe(
    1,
  );
});

test('counts a failed login by its kind', async () => {
  using otel = measuring();
  await using here = await site();
  here.server.failLogins({ number: 4060, state: 1, class: 11, message: 'Cannot open database "x".' });
  await expect(here.pool().acquire()).rejects.toMatchObject({ number: 4060 });
  expect(await otel.value('mssql_token_pool.login.failures', { 'mssql_token_pool.login.kind': 'refused' })).toBe(1);
});

test('puts no token or secret into a label', async () => {
  using otel = measuring();
  await using here = await site();
  await here.pool().use(() => {});
  const text = await otel.prometheus();
  expect(text).toContain('db_client_connection_count');
  expect(text).not.toContain(here.entra.clientSecret);
  expect(text).not.toContain('eyJ');
});

test('records nothing after stop()', async () => {
  const otel = measuring();
  otel[Symbol.dispose]();
  await using here = await site();
  await here.pool().use(() => {});
  expect(await otel.metrics()).toEqual([]);
});

test('calling instrument() again with the same provider counts nothing twice', async () => {
  using otel = measuring();
  using again = instrument({ meterProvider: otel.meterProvider });
  await using here = await site();
  const pool = here.pool();
  await pool.use(() => {});
  expect(await otel.value('db.client.connection.create_time')).toBe(1);

  again.stop();
  await pool.use(() => {});
  expect(await otel.value('db.client.connection.use_time')).toBe(2);
});

test('a copy of the module that a framework loads again counts nothing twice', async () => {
  using otel = measuring();
  vi.resetModules();
  const copy = await import('../../src/telemetry/otel.js');
  expect(copy.instrument).not.toBe(instrument);
  using _ = copy.instrument({ meterProvider: otel.meterProvider });
  await using here = await site();
  await here.pool().use(() => {});
  expect(await otel.value('db.client.connection.create_time')).toBe(1);
});
