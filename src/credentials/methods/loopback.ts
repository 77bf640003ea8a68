import { timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { TokenUnavailableError } from '../../errors.js';

export type LoopbackAnswer = { code: string } | { error: string; description: string | undefined };

/** The page on this machine to which the browser returns after a sign-in. */
export interface Loopback {
  redirectUri: string;
  /** The first answer that carries our `state`. Never rejects. */
  answer: Promise<LoopbackAnswer>;
  close(): Promise<void>;
}

/** An answer is a code and a state; a larger one is not from the identity provider. */
const LARGEST_BODY = 64 * 1024;

/**
 * Listens on 127.0.0.1 and, if there is IPv6, on ::1, because `localhost` in the redirect may mean either (RFC 8252
 * section 7.3 and 8.3). Anything without our `state` gets an error page and changes nothing.
 */
export async function listenForCode(port: number, state: string): Promise<Loopback> {
  let settle: (answer: LoopbackAnswer) => void = () => {};
  const answer = new Promise<LoopbackAnswer>((resolve) => {
    settle = resolve;
  });
  const onRequest = (request: IncomingMessage, response: ServerResponse) => {
    answerBrowser(request, response, state, settle).catch(() => response.destroy());
  };
  const servers = await listenOnBoth(port, onRequest);
  const { port: chosen } = servers[0].address() as AddressInfo;
  return {
    redirectUri: `http://localhost:${chosen}`,
    answer,
    async close() {
      await Promise.all(servers.map(closed));
    },
  };
}

type Listener = (request: IncomingMessage, response: ServerResponse) => void;

async function listenOnBoth(port: number, onRequest: Listener): Promise<[Server, ...Server[]]> {
  for (let attempt = 0; ; attempt += 1) {
    const first = await listen(port, '127.0.0.1', onRequest);
    const { port: chosen } = first.address() as AddressInfo;
    try {
      return [first, await listen(chosen, '::1', onRequest)];
    } catch (error) {
      // Another program listens on ::1, and the browser may try that address first: use another port.
      if (!(error instanceof TokenUnavailableError && error.message.includes('EADDRINUSE'))) return [first];
      await closed(first);
      if (port !== 0 || attempt === 9) throw error;
    }
  }
}

function listen(port: number, host: string, onRequest: Listener): Promise<Server> {
  const server = createServer(onRequest);
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      reject(
        new TokenUnavailableError(`The sign-in page cannot listen on ${host}:${port} (${cause.code}).`, { cause }),
      );
    });
    server.listen({ port, host, ipv6Only: true }, () => resolve(server));
  });
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeIdleConnections();
    // The last page is being sent. A browser that keeps its connection open does not delay us.
    setTimeout(() => server.closeAllConnections(), 500).unref();
  });
}

async function answerBrowser(
  request: IncomingMessage,
  response: ServerResponse,
  state: string,
  settle: (answer: LoopbackAnswer) => void,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://localhost');
  if (url.pathname !== '/') return show(response, 404, 'Not found', 'There is nothing at this address.');
  const fields = request.method === 'POST' ? new URLSearchParams(await readBody(request)) : url.searchParams;
  const given = fields.get('state') ?? '';
  if (!sameText(given, state)) {
    const text = 'This page does not belong to a sign-in in progress. Start again from the application.';
    return show(response, 400, 'Sign-in is not possible', text);
  }
  const error = fields.get('error');
  const code = fields.get('code');
  if (error === null && code !== null) {
    await show(
      response,
      200,
      'Signed in',
      'You are signed in. You can close this page and go back to the application.',
    );
    return settle({ code });
  }
  const description = fields.get('error_description')?.slice(0, 2_048);
  const reason =
    error === 'access_denied' ? 'You cancelled the sign-in.' : (description ?? error ?? 'No code was received.');
  await show(response, 400, 'Not signed in', `${reason} You can close this page; the application has the answer.`);
  settle({ error: error ?? 'invalid_request', description });
}

async function readBody(request: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of request) {
    body += String(chunk);
    if (body.length > LARGEST_BODY) throw new Error('too large');
  }
  return body;
}

function sameText(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}

/** Plain and readable, in the reader's own colours; it loads nothing and runs no script. */
function show(response: ServerResponse, status: number, title: string, text: string): Promise<void> {
  const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escaped(title)}</title>
<style>
body { font: 1.125rem/1.6 system-ui, sans-serif; max-width: 34rem; margin: 15vh auto; padding: 0 1.5rem; }
h1 { font-size: 1.75rem; line-height: 1.2; }
</style>
</head>
<body>
<main>
<h1>${escaped(title)}</h1>
<p>${escaped(text)}</p>
</main>
</body>
</html>
`;
  response.writeHead(status, {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
    'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
    connection: 'close',
  });
  return new Promise((resolve) => response.end(page, () => resolve()));
}

function escaped(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return text.replaceAll(/[&<>"]/g, (character) => entities[character] ?? '');
}
