import http from 'node:http';
import https from 'node:https';
import { decodeToken } from './json-web-token.js';

/** A token in the form of `@azure/core-auth`. */
export interface EntraAccessToken {
  token: string;
  /** End of the token, epoch ms, exactly as in its `exp` claim. */
  expiresOnTimestamp: number;
  /** When the emulator wants it refreshed (`refreshInSeconds`), epoch ms. */
  refreshAfterTimestamp?: number;
  tokenType: 'Bearer';
}

/** The part of an `AbortSignal` that is used. */
export interface EntraAbortSignal {
  readonly aborted: boolean;
  addEventListener(type: 'abort', listener: () => void): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

/** The options of `@azure/core-auth` that have an effect here. */
export interface EntraTokenOptions {
  /** An `AbortSignal`, or anything like one. */
  abortSignal?: EntraAbortSignal | undefined;
  /** The answer to a claims challenge, as JSON. */
  claims?: string | undefined;
  /** A tenant other than the principal's own. */
  tenantId?: string | undefined;
  /** Ask for a long-lived token that can be revoked. */
  enableCae?: boolean | undefined;
}

/** A ready-made `TokenCredential` that asks the emulator over HTTP on every call and caches nothing. */
export interface EntraCredential {
  /** Throws {@link EntraError} where the emulator refuses or does not answer. */
  getToken(scopes: string | string[], options?: EntraTokenOptions): Promise<EntraAccessToken>;
}

/**
 * The emulator's answer without a token, with the fields of an error of `@azure/identity` or MSAL.
 *
 * @example
 * await expect(entra.credential(app).getToken(scope)).rejects.toMatchObject({ status: 401, aadsts: 7000215 });
 */
export class EntraError extends Error {
  override name = 'EntraError';
  /** HTTP status; undefined where there was no answer. */
  readonly status: number | undefined;
  /** Same as `status`, under the name `@azure/identity` uses. */
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

/** `exp` of the token; for a token that is no JWT (a fault with a body) what the answer says. */
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
  // One connection per request: a kept-alive one that the emulator resets would fail the next, innocent request.
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
