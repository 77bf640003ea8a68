import { type Attributes, SpanKind, SpanStatusCode, type Tracer } from '@opentelemetry/api';
import { listen } from '../listen.js';

interface Ended {
  durationMs: number;
  error?: Error | undefined;
  attributes: Attributes;
}

/**
 * A span for each login and each token request, made when it has ended, because the event then tells how long it took.
 * Its parent is the span that was active where the work was started.
 */
export function recordSpans(tracer: Tracer): () => void {
  const servers = new Map<string, Attributes>();

  const record = (name: string, { durationMs, error, attributes }: Ended): void => {
    const endTime = Date.now();
    const span = tracer.startSpan(name, { kind: SpanKind.CLIENT, startTime: endTime - durationMs, attributes });
    if (error !== undefined) {
      // Message, not stack: our messages are free of secrets, a cause may come from anywhere.
      span.setAttribute('error.type', (error as { code?: string }).code ?? error.name);
      span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
    }
    span.end(endTime);
  };
  const ofLogin = (pool: string): Attributes => ({
    'db.system.name': 'microsoft.sql_server',
    'db.client.connection.pool.name': pool,
    ...servers.get(pool),
  });
  const ofRequest = (identity: string, scope: string): Attributes => ({
    'mssql_token_pool.identity': identity,
    'mssql_token_pool.scope': scope,
  });

  return listen({
    'pool:opened': ({ pool, server, database }) => {
      servers.set(pool, { 'server.address': server, ...(database === undefined ? {} : { 'db.namespace': database }) });
    },
    'pool:closed': ({ pool }) => servers.delete(pool),
    'connection:opened': ({ pool, durationMs, tokenId }) =>
      record('mssql login', {
        durationMs,
        attributes: { ...ofLogin(pool), ...(tokenId === undefined ? {} : { 'mssql_token_pool.token.id': tokenId }) },
      }),
    'connection:login-failed': ({ pool, durationMs, error, kind }) => {
      const { number } = error as { number?: number };
      const status = number === undefined ? {} : { 'db.response.status_code': String(number) };
      const attributes = { ...ofLogin(pool), ...status, 'mssql_token_pool.login.kind': kind };
      record('mssql login', { durationMs, error, attributes });
    },
    'token:refreshed': ({ identity, scope, durationMs, tokenId }) =>
      record('token request', {
        durationMs,
        attributes: { ...ofRequest(identity, scope), 'mssql_token_pool.token.id': tokenId },
      }),
    'token:failed': ({ identity, scope, durationMs, error }) =>
      record('token request', { durationMs, error, attributes: ofRequest(identity, scope) }),
  });
}
