import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';

export interface ListenOptions {
  host: string;
  port: number;
  tls?: { cert: string; key: string } | undefined;
  onRequest: (request: http.IncomingMessage, response: http.ServerResponse) => void;
}

export interface HttpListener {
  readonly port: number;
  /** Stops at once and closes the connections of unanswered requests. */
  close(): Promise<void>;
}

export async function listen(options: ListenOptions): Promise<HttpListener> {
  const server =
    options.tls === undefined
      ? http.createServer(options.onRequest)
      : https.createServer({ ...options.tls }, options.onRequest);
  server.listen(options.port, options.host);
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

/** Far larger than any token request; the largest contain an assertion and a user token. */
const MAX_BODY_BYTES = 128 * 1024;

/** The request body is larger than any token request. */
export class BodyTooLargeError extends Error {
  override name = 'BodyTooLargeError';
}

export async function readBody(request: http.IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw new BodyTooLargeError(`a request body is limited to ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

export interface HttpAnswer {
  status: number;
  headers?: Readonly<Record<string, string>> | undefined;
  /** An object is sent as JSON, text as HTML. */
  body?: string | object | undefined;
}

export function send(response: http.ServerResponse, answer: HttpAnswer): void {
  const isText = typeof answer.body === 'string';
  const body = answer.body === undefined || isText ? (answer.body as string | undefined) : JSON.stringify(answer.body);
  response.writeHead(answer.status, {
    'Content-Type': isText ? 'text/html; charset=utf-8' : 'application/json; charset=utf-8',
    'Cache-Control': 'no-store, no-cache',
    Pragma: 'no-cache',
    ...answer.headers,
  });
  response.end(body);
}
