import { context, SpanStatusCode, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import * as conventions from '@opentelemetry/semantic-conventions';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { instrument } from '../../src/telemetry/otel.js';
import { site } from '../support/pool.js';

beforeAll(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
});
afterAll(() => context.disable());

/** The real SDK with its in-memory exporter. */
function tracing() {
  const exporter = new InMemorySpanExporter();
  const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  const instrumentation = instrument({ tracerProvider });
  return {
    tracer: tracerProvider.getTracer('test'),
    get spans() {
      return exporter.getFinishedSpans();
    },
    [Symbol.dispose]: instrumentation.stop,
  };
}

test('records a login and its token request as children of the span that requested the connection', async () => {
  using otel = tracing();
  await using here = await site({ server: { loginDelayMs: 30 } });
  const pool = here.pool({ database: 'app' });
  const parent = otel.tracer.startSpan('checkout');
  await context.with(trace.setSpan(context.active(), parent), () => pool.use(() => {}));
  parent.end();
  const [request, login] = otel.spans;
  expect([request?.name, login?.name]).toEqual(['token request', 'mssql login']);
  expect(request?.parentSpanContext?.spanId).toBe(parent.spanContext().spanId);
  expect(login?.parentSpanContext?.spanId).toBe(parent.spanContext().spanId);
  expect(login?.attributes).toMatchObject({
    'db.system.name': 'microsoft.sql_server',
    'server.address': 'localhost',
    'server.port': expect.any(Number),
    'db.namespace': 'app',
  });
  const [seconds, nanos] = login?.duration ?? [0, 0];
  expect(seconds * 1000 + nanos / 1e6).toBeGreaterThanOrEqual(29);
});

test('records a refused login as a failed span with the error number of SQL Server', async () => {
  using otel = tracing();
  await using here = await site();
  here.server.failLogins({
    number: 40615,
    state: 1,
    class: 14,
    message: "Client with IP address '203.0.113.9' is not allowed.",
  });
  await expect(here.pool().acquire()).rejects.toThrow();
  const login = otel.spans.find(({ name }) => name === 'mssql login');
  expect(login?.status.code).toBe(SpanStatusCode.ERROR);
  expect(login?.attributes).toMatchObject({ 'error.type': '40615', 'db.response.status_code': '40615' });
});

test('a failed token request is a failed span without the secret', async () => {
  using otel = tracing();
  await using here = await site();
  here.entra.updateApp(here.entra.clientId, { secretExpiresOn: new Date(0) });
  await expect(here.pool().acquire()).rejects.toThrow();
  const request = otel.spans.find(({ name }) => name === 'token request');
  expect(request?.attributes['error.type']).toBe('ERR_CREDENTIAL_REJECTED');
  expect(JSON.stringify([request?.attributes, request?.status, request?.events])).not.toContain(
    here.entra.clientSecret,
  );
});

test('uses the stable attributes of the conventions for SQL Server, and names of its own for the rest', async () => {
  using otel = tracing();
  await using here = await site();
  here.server.failLogins({ number: 4060, state: 1, class: 11, message: 'Cannot open database "x".', count: 1 });
  await expect(here.pool({ database: 'x' }).acquire()).rejects.toThrow();
  await here.pool().use(() => {});
  const stable = new Set<unknown>(Object.values(conventions));
  const others = new Set(
    otel.spans.flatMap(({ attributes }) => Object.keys(attributes)).filter((name) => !stable.has(name)),
  );
  expect([...others].sort()).toEqual([
    // Not stable yet; the metrics of pools carry it.
    'db.client.connection.pool.name',
    'mssql_token_pool.identity',
    'mssql_token_pool.login.kind',
    'mssql_token_pool.scope',
    'mssql_token_pool.token.id',
  ]);
  const systems = otel.spans.flatMap(({ attributes }) => attributes['db.system.name'] ?? []);
  expect(new Set(systems)).toEqual(new Set([conventions.DB_SYSTEM_NAME_VALUE_MICROSOFT_SQL_SERVER]));
});

test('a failure without an error number of SQL Server has the code of the error as its type', async () => {
  using otel = tracing();
  await using here = await site();
  here.entra.fail({ status: 503 });
  await expect(here.pool().acquire()).rejects.toThrow();
  const [request] = otel.spans;
  expect(request?.attributes).toMatchObject({ 'error.type': 'ERR_TOKEN_UNAVAILABLE' });
  expect(request?.attributes).not.toHaveProperty('db.response.status_code');
});
