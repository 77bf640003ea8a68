import type { Attributes, Tracer } from '@opentelemetry/api';
import { listen } from '../listen.js';
import { api } from './api.js';

interface Ended {
  durationMs: number;
  error?: Error | undefined;
  attributes: Attributes;
}

/**
 * Records a span for each login and each token request, with the attributes of the semantic conventions for Microsoft
 * SQL Server. A span is created when the work has ended, because only that event carries its duration; its parent is the
 * span that was active where the work began.
 */
export function recordSpans(tracer: Tracer): () => void {
  const servers = new Map<string, Attributes>();

  const record = (name: string, { durationMs, error, attributes }: Ended): void => {
    const endTime = Date.now();
    const span = tracer.startSpan(name, { kind: api.SpanKind.CLIENT, startTime: endTime - durationMs, attributes });
    if (error !== undefined) {
      // Only the message, not the stack: our messages are free of secrets, a cause may contain anything.
      span.setAttribute('error.type', typeOf(error));
      span.setStatus({ code: api.SpanStatusCode.ERROR, message: error.message });
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
    'pool:opened': ({ pool, server, port, database }) => {
      servers.set(pool, {
        'server.address': server,
        ...(port === undefined ? {} : { 'server.port': port }),
        ...(database === undefined ? {} : { 'db.namespace': database }),
      });
    },
    'pool:closed': ({ pool }) => servers.delete(pool),
    'connection:opened': ({ pool, durationMs, tokenId }) =>
      record('mssql login', {
        durationMs,
        attributes: { ...ofLogin(pool), ...(tokenId === undefined ? {} : { 'mssql_token_pool.token.id': tokenId }) },
      }),
    'connection:login-failed': ({ pool, durationMs, error, kind }) => {
      const number = numberOf(error);
      const status = number === undefined ? {} : { 'db.response.status_code': number };
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

/** As the conventions require: the status code of the database, or else a low-cardinality name of the error. */
function typeOf(error: Error): string {
  return numberOf(error) ?? (error as { code?: string }).code ?? error.name;
}

/** SQL Server's error number. */
function numberOf(error: Error): string | undefined {
  const { number } = error as { number?: number };
  return number === undefined ? undefined : String(number);
}
