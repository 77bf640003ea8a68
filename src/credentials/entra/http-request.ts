import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { AbortedError, ConfigurationError, TokenTimeoutError, TokenUnavailableError } from '../../errors.js';
import { errorCode, redactedCause } from './redact.js';

/**
 * No answer of an identity provider is larger; the rest of a larger one is not read. JSON.parse of nested arrays takes 0.2 s
 * for each MiB.
 */
const LARGEST_BODY = 128 * 1024;
/** Below the token cache's own 10 s, so that the error with more detail wins. */
const DEFAULT_TIMEOUT_MS = 9_500;

export interface HttpRequest {
  url: URL;
  method?: 'GET' | 'POST' | 'PUT' | undefined;
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
  /** The secrets of the request, which the answer may repeat. A function, so that printing the reply shows none. */
  secrets(): readonly string[];
}

/** Headers and form fields whose values are secret. */
const SECRET_HEADERS = new Set(['authorization', 'x-identity-header', 'secret', 'x-amz-security-token']);
const SECRET_FIELDS = [
  'client_secret',
  'client_assertion',
  'assertion',
  'user_federated_identity_credential',
  'refresh_token',
  'password',
  'code',
  'device_code',
  'code_verifier',
];

/** The values of a request that must not appear in an error, whatever the server repeats. */
function secretsOf({ headers = {}, body = '' }: HttpRequest): readonly string[] {
  const secrets: string[] = [];
  for (const [name, value] of Object.entries(headers)) {
    if (!SECRET_HEADERS.has(name.toLowerCase())) continue;
    secrets.push(value, value.slice(value.indexOf(' ') + 1));
  }
  if (body !== '') {
    const form = new URLSearchParams(body);
    for (const field of SECRET_FIELDS) secrets.push(...form.getAll(field));
  }
  return secrets;
}

/**
 * One request to an identity provider, on a new connection. Redirects are not followed: they would carry a secret to a
 * server that the configuration does not name. Any status counts as a reply, including 101.
 *
 * @throws TokenTimeoutError, AbortedError, TokenUnavailableError with the network's own error as cause
 */
export function httpExchange(request: HttpRequest): Promise<HttpReply> {
  const { url, abortSignal, timeoutMs = DEFAULT_TIMEOUT_MS } = request;
  return new Promise((resolve, reject) => {
    if (abortSignal?.aborted) {
      reject(new AbortedError(`The request to ${url.host} was aborted.`, { cause: abortSignal.reason }));
      return;
    }
    const secure = url.protocol === 'https:';
    const pinned = request.certificateThumbprint?.replaceAll(':', '').toLowerCase();
    const headers = {
      accept: 'application/json',
      ...request.headers,
      ...(request.body === undefined ? {} : { 'content-length': String(Buffer.byteLength(request.body)) }),
    };
    for (const [name, value] of Object.entries(headers)) {
      // Node.js would throw a TypeError (RFC 9110 section 5.5).
      if (!/[^\t\x20-\x7e\x80-\xff]/.test(String(value))) continue;
      reject(
        new ConfigurationError(
          `The header '${name}' for ${url.host} contains a line break or another control character.`,
          {
            hint: 'The secret or the environment variable that it comes from has one. Remove it.',
          },
        ),
      );
      return;
    }
    const outgoing = (secure ? httpsRequest : httpRequest)(url, {
      method: request.method ?? 'GET',
      headers,
      agent: request.agent ?? false,
      // A pinned certificate is compared below before anything is sent.
      ...(pinned === undefined ? {} : { rejectUnauthorized: false }),
    });
    const timer = setTimeout(() => {
      fail(new TokenTimeoutError(`${url.host} did not answer within ${timeoutMs} ms.`));
    }, timeoutMs);
    const onAbort = () => {
      fail(new AbortedError(`The request to ${url.host} was aborted.`, { cause: abortSignal?.reason }));
    };
    abortSignal?.addEventListener('abort', onAbort, { once: true });

    outgoing.on('error', (error) => fail(unreachable(url, error, request)));
    outgoing.on('response', (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > LARGEST_BODY) fail(new TokenUnavailableError(`${url.host} sent an answer of more than 128 KiB.`));
        else chunks.push(chunk);
      });
      response.on('error', (error) => fail(unreachable(url, error, request)));
      response.on('end', () => {
        succeed(response, Buffer.concat(chunks).toString('utf8'));
      });
    });
    // Without this listener, Node drops the connection, and the request would end only at its timeout.
    outgoing.on('upgrade', (response, socket) => {
      socket.destroy();
      succeed(response, '');
    });
    if (pinned === undefined || !secure) outgoing.end(request.body);
    else sendIfPinned();

    function sendIfPinned(): void {
      outgoing.on('socket', (socket) => {
        socket.once('secureConnect', () => {
          const { fingerprint, fingerprint256 } = (socket as import('node:tls').TLSSocket).getPeerCertificate();
          const has = [fingerprint, fingerprint256].map((print) => print?.replaceAll(':', '').toLowerCase());
          if (pinned !== undefined && has.includes(pinned)) outgoing.end(request.body);
          else fail(new TokenUnavailableError(`${url.host} has a certificate other than the expected one.`));
        });
      });
    }
    function succeed({ statusCode = 0, headers }: IncomingMessage, body: string): void {
      cleanUp();
      resolve({ status: statusCode, headers, body, secrets: () => secretsOf(request) });
    }
    function fail(error: Error): void {
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

function unreachable(url: URL, error: Error, request: HttpRequest): TokenUnavailableError {
  const cause = redactedCause(error, secretsOf(request));
  const code = errorCode(error);
  return new TokenUnavailableError(`${url.host} cannot be reached (${code ?? cause.message.slice(0, 400)}).`, {
    cause,
    hint: unreachableHint(code),
  });
}

function unreachableHint(code: string | undefined): string | undefined {
  if (code === undefined) return undefined;
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'Check DNS and the authority.';
  if (/CERT|SIGNATURE|SELF_SIGNED|ALTNAME/.test(code)) {
    return 'The server certificate is not trusted here: name its CA in NODE_EXTRA_CA_CERTS, or pass an agent that has it.';
  }
  return 'Check the network path, firewalls and proxies; set a proxy with the option `agent`.';
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

/**
 * Providers ask for seconds or minutes. A longer pause is shortened, because it would take the application out of
 * service.
 */
const LONGEST_RETRY_AFTER_MS = 3_600_000;

/** `Retry-After` in ms: delta-seconds or an HTTP date (RFC 9110 section 10.2.3); undefined if it is neither. */
export function retryAfterMs(header: unknown): number | undefined {
  const text = typeof header === 'number' ? String(header) : header;
  if (typeof text !== 'string' || text.length > 64) return undefined;
  const trimmed = text.trim();
  if (/^\d{1,32}(?:\.\d{1,9})?$/.test(trimmed)) return saneRetryAfterMs(Number(trimmed) * 1000);
  const at = /[a-z]/i.test(trimmed) ? Date.parse(trimmed) : Number.NaN;
  return Number.isNaN(at) ? undefined : saneRetryAfterMs(Math.max(0, at - Date.now()));
}

/** A pause requested from outside, in ms: a finite number from 0 to an hour, or undefined. */
export function saneRetryAfterMs(value: unknown): number | undefined {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) return undefined;
  return Math.min(value, LONGEST_RETRY_AFTER_MS);
}
