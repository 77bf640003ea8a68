import { request as httpRequest, type IncomingHttpHeaders, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { AbortedError, TokenTimeoutError, TokenUnavailableError } from '../../errors.js';
import { redactedCause } from './redact.js';

/** No identity provider's answer is larger; whatever is sent us beyond it is not read. */
const LARGEST_BODY = 1024 * 1024;
/** Under the token cache's own 10 s, so that the more telling error of the two arrives. */
const DEFAULT_TIMEOUT_MS = 9_500;

export interface HttpRequest {
  url: URL;
  method?: 'GET' | 'POST' | undefined;
  headers?: Record<string, string> | undefined;
  body?: string | undefined;
  /** For connecting, headers and body together, ms. Default 9,500. */
  timeoutMs?: number | undefined;
  abortSignal?: AbortSignal | undefined;
  /** For proxies and private certificate authorities. */
  agent?: HttpAgent | undefined;
  /** SHA-1 or SHA-256 of the only certificate that the server may have, hex; its issuer and name do not matter then. */
  certificateThumbprint?: string | undefined;
}

/** An `http.Agent` or `https.Agent`. */
export type HttpAgent = NonNullable<RequestOptions['agent']>;

export interface HttpReply {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

/**
 * One request to an identity provider, on a connection of its own, without following redirects: they would carry a secret
 * to a place that nobody named. Any status is a reply.
 *
 * @throws TokenTimeoutError, AbortedError, TokenUnavailableError with the network's own error as cause
 */
export function httpExchange(request: HttpRequest): Promise<HttpReply> {
  const { url, abortSignal, timeoutMs = DEFAULT_TIMEOUT_MS } = request;
  return new Promise((resolve, reject) => {
    if (abortSignal?.aborted) {
      reject(new AbortedError(`The request to ${url.host} was given up.`, { cause: abortSignal.reason }));
      return;
    }
    const secure = url.protocol === 'https:';
    const pinned = request.certificateThumbprint?.replaceAll(':', '').toLowerCase();
    const outgoing = (secure ? httpsRequest : httpRequest)(url, {
      method: request.method ?? 'GET',
      headers: {
        accept: 'application/json',
        ...request.headers,
        ...(request.body === undefined ? {} : { 'content-length': String(Buffer.byteLength(request.body)) }),
      },
      agent: request.agent ?? false,
      // A pinned certificate is compared below before anything is sent.
      ...(pinned === undefined ? {} : { rejectUnauthorized: false }),
    });
    const timer = setTimeout(() => {
      give(new TokenTimeoutError(`${url.host} did not answer within ${timeoutMs} ms.`));
    }, timeoutMs);
    const onAbort = () => {
      give(new AbortedError(`The request to ${url.host} was given up.`, { cause: abortSignal?.reason }));
    };
    abortSignal?.addEventListener('abort', onAbort, { once: true });

    outgoing.on('error', (error) => give(unreachable(url, error)));
    outgoing.on('response', (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > LARGEST_BODY) give(new TokenUnavailableError(`${url.host} sent an answer of more than 1 MiB.`));
        else chunks.push(chunk);
      });
      response.on('error', (error) => give(unreachable(url, error)));
      response.on('end', () => {
        cleanUp();
        const body = Buffer.concat(chunks).toString('utf8');
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
      });
    });
    if (pinned === undefined || !secure) outgoing.end(request.body);
    else sendIfPinned();

    function sendIfPinned(): void {
      outgoing.on('socket', (socket) => {
        socket.once('secureConnect', () => {
          const { fingerprint, fingerprint256 } = (socket as import('node:tls').TLSSocket).getPeerCertificate();
          const has = [fingerprint, fingerprint256].map((print) => print?.replaceAll(':', '').toLowerCase());
          if (pinned !== undefined && has.includes(pinned)) outgoing.end(request.body);
          else give(new TokenUnavailableError(`${url.host} has another certificate than the one expected.`));
        });
      });
    }
    function give(error: Error): void {
      cleanUp();
      reject(error);
      outgoing.destroy();
    }
    function cleanUp(): void {
      clearTimeout(timer);
      abortSignal?.removeEventListener('abort', onAbort);
    }
  });
}

function unreachable(url: URL, error: Error): TokenUnavailableError {
  const { code } = error as NodeJS.ErrnoException;
  return new TokenUnavailableError(`${url.host} cannot be reached (${code ?? error.message}).`, {
    cause: redactedCause(error),
    hint: unreachableHint(code),
  });
}

function unreachableHint(code: string | undefined): string | undefined {
  if (code === undefined) return undefined;
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'Check DNS and the authority.';
  if (/CERT|SIGNATURE|SELF_SIGNED|ALTNAME/.test(code)) {
    return 'The server certificate is not trusted here: give its CA in NODE_EXTRA_CA_CERTS, or an agent that has it.';
  }
  return 'Check the network path, firewalls and proxies; a proxy is given as `agent`.';
}

/** A JSON object, or undefined for anything else. */
export function jsonObject(text: string): Record<string, unknown> | undefined {
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)
      ? (parsed as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
