import { inspect } from 'node:util';
import { PrometheusExporter, PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import { MeterProvider } from '@opentelemetry/sdk-metrics';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { expect, test } from 'vitest';
import { examine } from '../../src/cli/doctor/examine.js';
import { Printer } from '../../src/cli/doctor/print.js';
import { settingsFrom } from '../../src/connections/settings.js';
import { createTokenPool, type TokenPoolConfig } from '../../src/index.js';
import { instrument } from '../../src/telemetry/otel.js';
import { recordTimeline } from '../../src/telemetry/timeline.js';
import { plantedSecret, secretIn } from '../hostile/secrets.js';
import { FAULTS } from '../hostile/sql/faults.js';
import { HostileServer } from '../hostile/sql/server.js';
import { httpServer } from '../support/http-server.js';

/** In letters and digits alone, so that it can be part of a host name. */
const TOKEN = plantedSecret(800).replaceAll(/[_-]/g, 'x');
const tenantId = '72f988bf-86f1-41af-91ab-2d7cd011db47';
const clientId = '11111111-2222-4333-8444-555555555555';

/** The real SDKs, and what they would export: every label, attribute and status. */
function telemetry() {
  const reader = new PrometheusExporter({ preventServerStart: true });
  const exporter = new InMemorySpanExporter();
  const { stop } = instrument({
    meterProvider: new MeterProvider({ readers: [reader] }),
    tracerProvider: new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }),
  });
  const timeline = recordTimeline();
  return {
    async exported(): Promise<string> {
      const { resourceMetrics } = await reader.collect();
      const spans = exporter.getFinishedSpans().map(({ name, attributes, status, events }) => ({
        name,
        attributes,
        status,
        events,
      }));
      return [
        new PrometheusSerializer().serialize(resourceMetrics),
        JSON.stringify(spans),
        JSON.stringify(timeline.timeline),
      ].join('\n');
    },
    [Symbol.dispose]() {
      stop();
      timeline.stop();
    },
  };
}

function configFor(server: HostileServer, login: object): TokenPoolConfig {
  return {
    server: 'localhost',
    port: server.port,
    ...login,
    validateConnection: false,
    options: { encrypt: true, trustServerCertificate: true },
    pool: { max: 2, acquireTimeoutMillis: 10_000 },
  } as unknown as TokenPoolConfig;
}

const withToken = () => ({
  authentication: { getToken: async () => ({ token: TOKEN, expiresOnTimestamp: Date.now() + 3_600_000 }) },
});

/** What the doctor prints, for people and for scripts. */
async function doctorOutput(config: TokenPoolConfig): Promise<string> {
  let printed = '';
  const printer = new Printer((text) => {
    printed += text;
  }, false);
  const examination = await examine(settingsFrom(config), {
    timeoutMs: 5_000,
    onStep: (report) => printer.step(report),
  });
  printer.summary(examination);
  return `${printed}\n${JSON.stringify(examination)}`;
}

const CASES = [
  ...Array.from({ length: 11 }, (_, pick) => ['an echo in disguise', pick] as const),
  ['an echo as the name of a server', 0] as const,
];

test.each(CASES)(
  'metrics, spans, the timeline and the doctor show nothing of a token that a server repeats: %s, form %i',
  async (name, pick) => {
    using telemetered = telemetry();
    await using server = await HostileServer.start();
    const random = { pick: (choices: readonly unknown[]) => choices[pick % choices.length] };
    server.misbehaveAt('token', FAULTS[name]?.({ random } as never) as never);
    await using pool = createTokenPool(configFor(server, withToken()));
    await expect(pool.acquire()).rejects.toThrow();
    const exported = await telemetered.exported();
    expect(exported).toMatch(/mssql_token_pool_login_failures_total\{[^}]*\} [1-9]/);
    expect(exported).toContain('"mssql login"');
    expect(secretIn(exported, [TOKEN])).toBeUndefined();
    expect(secretIn(await doctorOutput(configFor(server, withToken())), [TOKEN])).toBeUndefined();
  },
);

test('a server cannot put the token that it received into the scope, which is a metric label', async () => {
  using telemetered = telemetry();
  await using server = await HostileServer.start();
  await using pool = createTokenPool(configFor(server, withToken()));
  const first = await pool.acquire();
  for (const spn of [
    `https://database.${TOKEN.slice(0, 200)}/`,
    `https://database.${TOKEN.slice(300, 360)}.net/`,
    `https://database.${Buffer.from(TOKEN.slice(0, 100)).toString('hex')}/`,
    `https://database.${'a.'.repeat(120)}net/`,
  ]) {
    server.options.spn = spn;
    await expect(pool.acquire(), spn).rejects.toThrow(/for something other than SQL/);
  }
  pool.release(first);
  expect(secretIn(await telemetered.exported(), [TOKEN])).toBeUndefined();
  expect(server.logins).toBe(1);
});

const HEARD: [string, (heard: string) => object | string][] = [
  ['error', (heard) => ({ error: heard, error_description: 'no' })],
  ['error_description', (heard) => ({ error: 'invalid_client', error_description: heard })],
  [
    'a cut description',
    (heard) => ({ error: 'invalid_client', error_description: `AADSTS7000215: ${heard.slice(2)}` }),
  ],
  ['base64', (heard) => ({ error: 'invalid_client', error_description: Buffer.from(heard).toString('base64') })],
  ['error_codes and ids', (heard) => ({ error: 'x', error_codes: [heard], correlation_id: heard, trace_id: heard })],
  [
    'claims',
    (heard) => ({ error: 'insufficient_claims', claims: JSON.stringify({ id_token: { x: { value: heard } } }) }),
  ],
  ['a page', (heard) => `<html>${heard}</html>`],
  ['the type of a token', (heard) => ({ access_token: 'a.b.c', token_type: heard, expires_in: 3600 })],
];

test.each(HEARD)('nothing of a client secret that the identity provider repeats: %s', async (_, answer) => {
  const clientSecret = plantedSecret(40);
  using telemetered = telemetry();
  await using provider = await httpServer(({ body }) => ({
    status: 401,
    body: answer(new URLSearchParams(body).get('client_secret') ?? 'none'),
  }));
  await using server = await HostileServer.start();
  const login = { authentication: { tenantId, clientId, clientSecret, authority: provider.url } };
  await using pool = createTokenPool(configFor(server, login));
  const error: unknown = await pool.acquire().catch((thrown: unknown) => thrown);
  const exported = await telemetered.exported();
  expect(exported).toMatch(/mssql_token_pool_token_request_failures_total\{[^}]*\} [1-9]/);
  expect(provider.requests.at(-1)?.body).toContain('client_secret=');
  const doctor = await doctorOutput(configFor(server, login));
  expect(secretIn(`${exported}\n${doctor}\n${inspect(error, { depth: 9 })}`, [clientSecret])).toBeUndefined();
});
