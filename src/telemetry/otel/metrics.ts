import type { BatchObservableResult, Meter } from '@opentelemetry/api';
import type { ChannelPayloads, PoolStats } from '../../channels.js';
import { listen } from '../listen.js';

/** A token that expired this long ago is no longer reported: its pool is closed or idle. */
const FORGET_TOKEN_AFTER_MS = 3_600_000;
/** Seconds. A checkout of a warm connection takes microseconds, a login tens of ms, a wait in the queue seconds. */
const DURATIONS = [0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const CLOSED: PoolStats = { available: 0, borrowed: 0, pending: 0, min: 0, max: 0, isSuspended: false };

interface KnownToken {
  obtainedAt: number;
  expiresOn: number;
  attributes: { 'mssql_token_pool.identity': string; 'mssql_token_pool.scope': string };
}

/**
 * Records the metrics of the semantic conventions for database client connection pools, v1.45 (their status is
 * "development"), and metrics of tokens. Returns a function that stops it.
 */
export function recordMetrics(meter: Meter): () => void {
  const pools = new Map<string, () => PoolStats>();
  const checkedOutAt = new Map<number, number>();
  const tokens = new Map<string, KnownToken>();

  const connections = (name: string, description: string) =>
    meter.createObservableUpDownCounter(name, { unit: '{connection}', description });
  const seconds = (name: string, description: string) =>
    meter.createHistogram(name, { unit: 's', description, advice: { explicitBucketBoundaries: DURATIONS } });
  const counter = (name: string, unit: string, description: string) => meter.createCounter(name, { unit, description });

  const count = connections('db.client.connection.count', 'Connections, by state');
  const idleMax = connections('db.client.connection.idle.max', 'Most idle connections');
  const idleMin = connections('db.client.connection.idle.min', 'Fewest idle connections');
  const limit = connections('db.client.connection.limit', 'Most connections');
  const pending = meter.createObservableUpDownCounter('db.client.connection.pending_requests', {
    unit: '{request}',
    description: 'Callers waiting for a connection',
  });
  const suspended = meter.createObservableUpDownCounter('mssql_token_pool.pool.suspended', {
    unit: '{pool}',
    description: '1 while callers wait for pool.resume(), otherwise 0',
  });
  const timeouts = counter(
    'db.client.connection.timeouts',
    '{timeout}',
    'Callers that timed out waiting for a connection',
  );
  const createTime = seconds('db.client.connection.create_time', 'Time to open a connection, including the login');
  const waitTime = seconds('db.client.connection.wait_time', 'Time from requesting a connection to obtaining it');
  const useTime = seconds(
    'db.client.connection.use_time',
    'Time between borrowing a connection and returning it to the pool',
  );
  const renewals = counter(
    'mssql_token_pool.connection.renewals',
    '{connection}',
    'Connections replaced before their token expired',
  );
  const evictions = counter('mssql_token_pool.connection.evictions', '{connection}', 'Connections closed, by reason');
  const leaks = counter(
    'mssql_token_pool.connection.leaks',
    '{connection}',
    'Connections borrowed for longer than pool.leakDetectionMillis',
  );
  const loginFailures = counter('mssql_token_pool.login.failures', '{login}', 'Logins that failed, by kind');
  const resets = counter('mssql_token_pool.connection.resets', '{connection}', 'Sessions reset between two borrowers');
  const keepalives = counter('mssql_token_pool.connection.keepalives', '{request}', 'Keepalive requests, by answer');
  const failovers = counter('mssql_token_pool.failovers', '{failover}', 'Failovers noticed, by sign');
  const fallbacks = counter('mssql_token_pool.fallbacks', '{fallback}', 'Times the primary took over from a replica');
  const retries = counter('mssql_token_pool.transaction.retries', '{transaction}', 'Transactions that run again');
  const age = meter.createObservableGauge('mssql_token_pool.token.age', {
    unit: 's',
    description: 'Time since the current token was obtained',
  });
  const lifeLeft = meter.createObservableGauge('mssql_token_pool.token.life_left', {
    unit: 's',
    description: 'Time until the current token expires; negative afterwards',
  });
  const requestTime = seconds('mssql_token_pool.token.request.duration', 'Duration of a token request');
  const requestFailures = counter('mssql_token_pool.token.request.failures', '{request}', 'Token requests that failed');
  const invalidations = counter(
    'mssql_token_pool.token.invalidations',
    '{token}',
    'Tokens discarded because the server refused them',
  );

  const reported = new Set<string>();
  const closed = new Set<string>();
  const observePools = (result: BatchObservableResult): void => {
    const seen: [string, PoolStats][] = [...pools].map(([pool, stats]) => [pool, stats()]);
    for (const [pool] of seen) reported.add(pool);
    // The SDK repeats the last value of what is no longer observed.
    for (const pool of closed) seen.push([pool, CLOSED]);
    closed.clear();
    for (const [pool, now] of seen) {
      const attributes = ofPool(pool);
      result.observe(count, now.available, { ...attributes, 'db.client.connection.state': 'idle' });
      result.observe(count, now.borrowed, { ...attributes, 'db.client.connection.state': 'used' });
      result.observe(idleMax, now.max, attributes);
      result.observe(idleMin, now.min, attributes);
      result.observe(limit, now.max, attributes);
      result.observe(pending, now.pending, attributes);
      result.observe(suspended, now.isSuspended ? 1 : 0, attributes);
    }
  };
  const observeTokens = (result: BatchObservableResult): void => {
    const now = Date.now();
    for (const [key, token] of tokens) {
      if (now > token.expiresOn + FORGET_TOKEN_AFTER_MS) {
        tokens.delete(key);
        continue;
      }
      result.observe(age, (now - token.obtainedAt) / 1000, token.attributes);
      result.observe(lifeLeft, (token.expiresOn - now) / 1000, token.attributes);
    }
  };
  const poolGauges = [count, idleMax, idleMin, limit, pending, suspended];
  const tokenGauges = [age, lifeLeft];
  meter.addBatchObservableCallback(observePools, poolGauges);
  meter.addBatchObservableCallback(observeTokens, tokenGauges);

  const stopListening = listen({
    'pool:opened': ({ pool, stats }) => pools.set(pool, stats),
    'pool:closed': ({ pool }) => {
      pools.delete(pool);
      if (reported.delete(pool)) closed.add(pool);
    },
    'connection:opened': ({ pool, durationMs }) => createTime.record(durationMs / 1000, ofPool(pool)),
    'connection:renewed': ({ pool }) => renewals.add(1, ofPool(pool)),
    'connection:evicted': ({ pool, connection, reason }) => {
      checkedOutAt.delete(connection);
      evictions.add(1, { ...ofPool(pool), 'mssql_token_pool.eviction.reason': reason });
    },
    'connection:leaked': ({ pool }) => leaks.add(1, ofPool(pool)),
    'connection:keepalive': ({ pool, answered }) =>
      keepalives.add(1, { ...ofPool(pool), 'mssql_token_pool.keepalive.answered': answered }),
    'pool:failover': ({ pool, sign }) => failovers.add(1, { ...ofPool(pool), 'mssql_token_pool.failover.sign': sign }),
    'pool:fallback': ({ pool, error }) => fallbacks.add(1, { ...ofPool(pool), 'error.type': typeOf(error) }),
    'transaction:retried': ({ number }) =>
      retries.add(1, number === undefined ? {} : { 'db.response.status_code': String(number) }),
    'connection:reset': ({ pool, roundTrip }) =>
      resets.add(1, { ...ofPool(pool), 'mssql_token_pool.reset.round_trip': roundTrip }),
    'connection:login-failed': ({ pool, kind, error }) =>
      loginFailures.add(1, { ...ofPool(pool), 'mssql_token_pool.login.kind': kind, 'error.type': typeOf(error) }),
    checkout: ({ pool, connection, waitedMs }) => {
      checkedOutAt.set(connection, performance.now());
      waitTime.record(waitedMs / 1000, ofPool(pool));
    },
    checkin: ({ pool, connection }) => {
      const since = checkedOutAt.get(connection);
      if (since === undefined) return;
      checkedOutAt.delete(connection);
      useTime.record((performance.now() - since) / 1000, ofPool(pool));
    },
    'checkout:timed-out': ({ pool }) => timeouts.add(1, ofPool(pool)),
    'token:refreshed': (event) => {
      const attributes = ofToken(event);
      requestTime.record(event.durationMs / 1000, attributes);
      const key = `${event.identity} ${event.scope}`;
      const obtainedAt = event.sameToken ? tokens.get(key)?.obtainedAt : undefined;
      tokens.set(key, { obtainedAt: obtainedAt ?? Date.now(), expiresOn: event.expiresOn, attributes });
    },
    'token:failed': (event) => {
      const attributes = { ...ofToken(event), 'error.type': typeOf(event.error) };
      requestTime.record(event.durationMs / 1000, attributes);
      requestFailures.add(1, attributes);
    },
    'token:invalidated': (event) => invalidations.add(1, ofToken(event)),
  });

  return () => {
    stopListening();
    meter.removeBatchObservableCallback(observePools, poolGauges);
    meter.removeBatchObservableCallback(observeTokens, tokenGauges);
  };
}

function ofPool(pool: string): { 'db.client.connection.pool.name': string } {
  return { 'db.client.connection.pool.name': pool };
}

function ofToken({ identity, scope }: ChannelPayloads['token:requested']): KnownToken['attributes'] {
  return { 'mssql_token_pool.identity': identity, 'mssql_token_pool.scope': scope };
}

/** `ERR_...`: a low-cardinality value, never a message. */
function typeOf(error: Error): string {
  return (error as { code?: string }).code ?? error.name;
}
