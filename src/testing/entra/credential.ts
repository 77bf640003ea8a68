import http from 'node:http';
import https from 'node:https';
import { decodeToken } from './json-web-token.js';

/** A token in the shape of `@azure/core-auth`. */
export interface EntraAccessToken {
  token: string;
  /** Expiry, epoch ms, exactly as in the token's `exp` claim. */
  expiresOnTimestamp: number;
  /** When to refresh it (`refreshInSeconds`), epoch ms. */
  refreshAfterTimestamp?: number;
  tokenType: 'Bearer';
}

/** The part of `AbortSignal` used here. */
export interface EntraAbortSignal {
  readonly aborted: boolean;
  addEventListener(type: 'abort', listener: () => void): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

/** The `@azure/core-auth` options that have an effect here. */
export interface EntraTokenOptions {
  /** An `AbortSignal`, or an object of the same shape. */
  abortSignal?: EntraAbortSignal | undefined;
  /** The answer to a claims challenge, as JSON. */
  claims?: string | undefined;
  /** A tenant other than the principal's own. */
  tenantId?: string | undefined;
  /** Request a long-lived token that can be revoked. */
  enableCae?: boolean | undefined;
}

/** A ready-made `TokenCredential` that calls the emulator over HTTP every time and caches nothing. */
export interface EntraCredential {
  /** Throws {@link EntraError} if the emulator refuses the request or does not answer. */
  getToken(scopes: string | string[], options?: EntraTokenOptions): Promise<EntraAccessToken>;
}

/**
 * The emulator refused a token request. Has the fields of an `@azure/identity` or MSAL error.
 *
 * @example
 * await expect(entra.credential(app).getToken(scope)).rejects.toMatchObject({ status: 401, aadsts: 7000215 });
 */
export class EntraError extends Error {
  override name = 'EntraError';
  /** HTTP status; undefined if there was no answer. */
  readonly status: number | undefined;
  /** Same as `status`, under the name that `@azure/identity` uses. */
  readonly statusCode: number | undefined;
  /** OAuth `error`, e.g. `invalid_client`. */
  readonly errorCode: string | undefined;
  /** First AADSTS number. */
  readonly aadsts: number | undefined;
  /** `Retry-After`, ms. */
  readonly retryAfterMs: number | undefined;
  readonly correlationId: string | undefined;

  constructor(
    message: string,
    details: {
      status?: number | undefined;
      errorCode?: string | undefined;
      aadsts?: number | undefined;
      retryAfterMs?: number | undefined;
      correlationId?: string | undefined;
      cause?: unknown;
    } = {},
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.status = details.status;
    this.statusCode = details.status;
    this.errorCode = details.errorCode;
    this.aadsts = details.aadsts;
    this.retryAfterMs = details.retryAfterMs;
    this.correlationId = details.correlationId;
  }
}

/** One HTTP request of a credential. */
export interface CredentialRequest {
  url: string;
  headers?: Readonly<Record<string, string>>;
  /** Sent by POST; without it the request is a GET. */
  form?: URLSearchParams;
}

/** The secrets stay in the closure `requestFor`, so cloning or printing the credential is safe. */
export function credentialFor(
  ca: string | undefined,
  requestFor: (scope: string, options: EntraTokenOptions) => CredentialRequest,
): EntraCredential {
  return {
    async getToken(scopes, options = {}) {
      const started = Date.now();
      const answer = await exchange(requestFor([scopes].flat().join(' '), options), ca, options.abortSignal);
      const body = parse(answer.body);
      const token = body?.access_token;
      if (answer.status !== 200 || typeof token !== 'string') throw errorFrom(answer, body);
      const refreshIn = body?.refresh_in;
      return {
        token,
        expiresOnTimestamp: expiry(token, started, Number(body?.expires_in)),
        ...(typeof refreshIn === 'number' ? { refreshAfterTimestamp: started + refreshIn * 1000 } : {}),
        tokenType: 'Bearer',
      };
    },
  };
}

/** `exp` of the token; if the token is not a JWT (a fault with a body), the expiry given in the answer. */
function expiry(token: string, started: number, expiresIn: number): number {
  const exp = decodeToken(token)?.claims.exp;
  return typeof exp === 'number' ? Math.round(exp * 1000) : started + expiresIn * 1000;
}

interface RawAnswer {
  status: number | undefined;
  retryAfter: string | undefined;
  body: string;
}

function exchange(
  { url, form, headers = {} }: CredentialRequest,
  ca: string | undefined,
  signal: EntraAbortSignal | undefined,
): Promise<RawAnswer> {
  const { request } = url.startsWith('https:') ? https : http;
  // One connection per request: if the emulator reset a kept-alive one, the next, unrelated request would fail.
  const options = { method: form === undefined ? 'GET' : 'POST', agent: false, headers, ...(ca ? { ca } : {}) };
  return new Promise<RawAnswer>((resolve, reject) => {
    if (signal?.aborted) throw aborted();
    const sent = request(url, options, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => {
        body += text;
      });
      response.on('error', fail);
      response.on('end', () => {
        settle();
        resolve({ status: response.statusCode, retryAfter: response.headers['retry-after'], body });
      });
    });
    const abort = () => sent.destroy(aborted());
    const settle = () => signal?.removeEventListener('abort', abort);
    const fail = (cause: Error) => {
      settle();
      if (cause.name === 'AbortError') reject(cause);
      else reject(new EntraError(`No answer from ${new URL(url).host}: ${cause.message}`, { cause }));
    };
    signal?.addEventListener('abort', abort);
    sent.on('error', fail);
    if (form !== undefined) sent.setHeader('Content-Type', 'application/x-www-form-urlencoded');
    sent.end(form?.toString());
  });
}

function aborted(): DOMException {
  return new DOMException('The token request was aborted', 'AbortError');
}

function parse(body: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(body) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

function errorFrom(answer: RawAnswer, body: Record<string, unknown> | undefined): EntraError {
  const text = (value: unknown) => (typeof value === 'string' ? value : undefined);
  const codes: unknown = body?.error_codes;
  return new EntraError(
    text(body?.error_description) ?? `The emulator answered ${answer.status} without an explanation`,
    {
      status: answer.status,
      errorCode: text(body?.error),
      aadsts: Array.isArray(codes) && typeof codes[0] === 'number' ? codes[0] : undefined,
      retryAfterMs: retryAfterMs(answer.retryAfter),
      correlationId: text(body?.correlation_id),
    },
  );
}

/** RFC 9110 section 10.2.3: seconds or an HTTP-date. */
function retryAfterMs(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  const ms = /^\d+(\.\d+)?$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}
