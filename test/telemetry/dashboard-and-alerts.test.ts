import { readFileSync } from 'node:fs';
import { PrometheusExporter, PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import { MeterProvider } from '@opentelemetry/sdk-metrics';
import { beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { type ChannelPayloads, type EvictionReason, publish } from '../../src/channels.js';
import { instrument } from '../../src/telemetry/otel.js';

interface Dashboard {
  templating: { list: { query: string }[] };
  panels: { title: string; targets: { expr: string; legendFormat: string }[] }[];
}

const dashboard: Dashboard = JSON.parse(
  readFileSync(new URL('../../docs/grafana-dashboard.json', import.meta.url), 'utf8'),
);
const alerts: { groups: { rules: { alert: string; expr: string; annotations: { summary: string } }[] }[] } = parse(
  readFileSync(new URL('../../docs/prometheus-alerts.yml', import.meta.url), 'utf8'),
);
const PROMQL = new Set([
  'sum',
  'min',
  'max',
  'by',
  'and',
  'on',
  'rate',
  'increase',
  'histogram_quantile',
  'label_values',
]);

let names: Set<string>;
let labels: Set<string>;

/** All that can be exported, from one event of each kind. */
beforeAll(async () => {
  const reader = new PrometheusExporter({ preventServerStart: true });
  using _ = instrument({ meterProvider: new MeterProvider({ readers: [reader] }) });
  const token = { identity: 'i', scope: 's' };
  const error = new Error('x');
  const stats = { available: 1, borrowed: 0, pending: 0, min: 0, max: 1, isSuspended: false };
  const events: { [N in keyof ChannelPayloads]: ChannelPayloads[N] } = {
    'token:requested': token,
    'token:refreshed': { ...token, tokenId: 't', expiresOn: Date.now() + 1000, durationMs: 1, sameToken: false },
    'token:failed': { ...token, error, durationMs: 1, retryAfterMs: 1 },
    'token:invalidated': { ...token, tokenId: 't' },
    'token:store-failed': { reason: 'slow', error },
    'token:store-recovered': {},
    'pool:opened': { pool: 'p', server: 'h', database: 'd', stats: () => stats },
    'connection:opened': { pool: 'p', connection: 1, durationMs: 1 },
    'connection:renewed': { pool: 'p', connection: 2, replaced: 1 },
    'connection:keepalive': { pool: 'p', connection: 1, answered: true, durationMs: 1 },
    'pool:failover': { pool: 'p', sign: 'read-only', drained: 1 },
    'pool:fallback': { pool: 'p', primary: 'q', error, detourMs: 1 },
    'connection:reset': { pool: 'p', connection: 1, roundTrip: false },
    'connection:login-failed': { pool: 'p', error, kind: 'refused', durationMs: 1 },
    checkout: { pool: 'p', connection: 1, waitedMs: 1 },
    checkin: { pool: 'p', connection: 1 },
    'checkout:timed-out': { pool: 'p', waitedMs: 1, error },
    'connection:leaked': { pool: 'p', connection: 1, borrowedMs: 1, holder: 'f', stack: 'f' },
    'connection:leak-returned': { pool: 'p', connection: 1, borrowedMs: 1, holder: 'f' },
    'transaction:retried': { attempt: 2, waitMs: 1, number: 1205 },
    'connection:evicted': { pool: 'p', connection: 1, reason: 'idle', ageMs: 1 },
    'pool:evicted': { pool: 'p', reason: 'r', connections: 1, borrowed: 0 },
    'pool:suspended': { pool: 'p' },
    'pool:resumed': { pool: 'p', waiting: 1 },
    'pool:credential-replaced': { pool: 'p', identity: 'i', tokenId: 't' },
    'pool:closed': { pool: 'another' },
  };
  for (const [name, payload] of Object.entries(events)) publish(name as keyof ChannelPayloads, () => payload as never);
  const { resourceMetrics } = await reader.collect();
  const text = new PrometheusSerializer().serialize(resourceMetrics);
  names = new Set([...text.matchAll(/^(\w+)\{/gm)].map((match) => match[1] as string));
  labels = new Set([...text.matchAll(/[{,](\w+)="/g)].map((match) => match[1] as string));
});

/**
 * The names in a query, without functions, variables and quoted text. A collector appends `_seconds` to metrics in seconds,
 * the SDK's own exporter does not: queries match both, and the exported name is returned.
 */
function words(query: string): string[] {
  const named = query.replace(/\{__name__=~"([^"]*)"/g, (_, pattern: string) => {
    const name = [...names].find((each) => new RegExp(`^(${pattern})$`).test(each));
    return `${name ?? `no_metric_${pattern.replace(/\W/g, '_')}`}{`;
  });
  const bare = named.replace(/"[^"]*"|\[[^\]]*\]|\$\w+/g, ' ');
  return [...bare.matchAll(/[a-z]\w+/g)].map(([word]) => word).filter((word) => !PROMQL.has(word));
}

test('every query of the dashboard uses exported metrics and labels', () => {
  const queries = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
  queries.push(...dashboard.templating.list.map(({ query }) => query).filter((query) => query.includes('(')));
  expect(queries.length).toBeGreaterThan(12);
  for (const query of queries) {
    const unknown = words(query).filter((word) => !names.has(word) && !labels.has(word));
    expect(unknown, query).toEqual([]);
    expect(
      words(query).some((word) => names.has(word)),
      query,
    ).toBe(true);
  }
});

test('every legend uses exported labels', () => {
  for (const { targets } of dashboard.panels) {
    for (const { legendFormat } of targets) {
      const used = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map((match) => match[1] as string);
      expect(used.filter((label) => !labels.has(label))).toEqual([]);
    }
  }
});

test('the dashboard shows every exported metric', () => {
  const shown = dashboard.panels.flatMap(({ targets }) => targets.flatMap(({ expr }) => words(expr)));
  const base = (name: string) => name.replace(/_(bucket|count|sum)$/, '');
  const onDashboard = new Set(shown.map(base));
  // The limits of idle connections are settings; the last one is the SDK's own.
  const left = ['db_client_connection_idle_max', 'db_client_connection_idle_min', 'target_info'];
  const missing = [...names].filter((name) => !onDashboard.has(base(name)) && !left.includes(name));
  expect(missing).toEqual([]);
});

test.each(['telemetry.md', 'operating.md', 'sessions.md', 'transactions.md'])(
  'every metric that docs/%s names is exported',
  (page) => {
    const text = readFileSync(new URL(`../../docs/${page}`, import.meta.url), 'utf8');
    const named = [...text.matchAll(/`((?:mssql_token_pool|db\.client\.connection)\.[a-z_.]+)`/g)].map(
      ([, name = '']) => name.replaceAll('.', '_'),
    );
    expect(named.length).toBeGreaterThan(0);
    // The names of attributes are exported as labels.
    const unknown = named.filter((name) => !labels.has(name) && ![...names].some((each) => each.startsWith(name)));
    expect(unknown).toEqual([]);
  },
);

test('every alert uses exported metrics and labels', () => {
  const rules = alerts.groups.flatMap((group) => group.rules);
  expect(rules.length).toBeGreaterThan(4);
  for (const { alert, expr, annotations } of rules) {
    const used = [...annotations.summary.matchAll(/\$labels\.(\w+)/g)].map((match) => match[1] as string);
    const unknown = [...words(expr), ...used].filter((word) => !names.has(word) && !labels.has(word));
    expect(unknown, alert).toEqual([]);
    expect(used.filter((label) => !expr.includes(label))).toEqual([]);
  }
});

const REASONS: Record<EvictionReason, true> = {
  renewed: true,
  'token-expiry': true,
  'token-invalidated': true,
  'max-age': true,
  idle: true,
  broken: true,
  'destroyed-by-caller': true,
  'evicted-by-caller': true,
  'credential-replaced': true,
  unneeded: true,
  'reset-failed': true,
  misused: true,
  'read-only': true,
  failover: true,
  'pool-closed': true,
};

test('the documentation explains every reason for which a connection is closed, and alerts use no other', () => {
  const page = readFileSync(new URL('../../docs/telemetry.md', import.meta.url), 'utf8');
  const table = page.slice(page.indexOf('The `reason` of'), page.indexOf('## OpenTelemetry'));
  const rows = table.split('\n').filter((line) => line.startsWith('| `'));
  const explained = rows.flatMap((row) =>
    [...(row.split('|')[1] as string).matchAll(/`([a-z-]+)`/g)].map(([, name]) => name),
  );
  expect(explained.sort()).toEqual(Object.keys(REASONS).sort());
  const used = alerts.groups
    .flatMap(({ rules }) => rules)
    .flatMap(({ expr }) =>
      [...expr.matchAll(/eviction_reason=~?"([^"]*)"/g)].flatMap(([, names = '']) => names.split('|')),
    );
  expect(used).toContain('reset-failed');
  for (const reason of used) expect(Object.keys(REASONS)).toContain(reason);
});
