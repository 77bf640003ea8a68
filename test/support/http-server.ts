import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

export interface HttpRequest {
  /** With path and query; the host is that of the server. */
  url: URL;
  method: string;
  headers: IncomingHttpHeaders;
  body: string;
}

export interface HttpAnswer {
  status?: number;
  headers?: Record<string, string>;
  /** An object is sent as JSON. */
  body?: string | object;
}

export interface HttpServer extends AsyncDisposable {
  /** `http://127.0.0.1:<port>`, without a slash. */
  readonly url: string;
  /** Every request, in order. */
  readonly requests: HttpRequest[];
}

/** An HTTP server that answers as the test says; `answer` may also write to the response and return nothing. */
export async function httpServer(
  answer: (request: HttpRequest, response: ServerResponse) => HttpAnswer | undefined | Promise<HttpAnswer | undefined>,
): Promise<HttpServer> {
  const requests: HttpRequest[] = [];
  const server = createServer(async (incoming, response) => {
    const body = await text(incoming);
    const { method = 'GET', headers: received } = incoming;
    const request = { url: new URL(incoming.url ?? '/', url), method, headers: received, body };
    requests.push(request);
    const answered = await answer(request, response);
    if (answered === undefined) return;
    const { status = 200, headers = {}, body: reply = '' } = answered;
    const isText = typeof reply === 'string';
    response.writeHead(status, isText ? headers : { 'content-type': 'application/json', ...headers });
    response.end(isText ? reply : JSON.stringify(reply));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
