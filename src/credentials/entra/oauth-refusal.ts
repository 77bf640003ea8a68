import type { CredentialError } from '../../errors.js';
import type { HttpReply } from './http-request.js';
import { aadstsOf, providerError } from './provider-error.js';
import { retryAfterMs } from './retry-after.js';

/** The typed error for an answer of the token endpoint that is no token (RFC 6749 section 5.2, Entra's additions). */
export function oauthRefusal(
  { status, headers }: HttpReply,
  body: Record<string, unknown> | undefined,
  about: { who: string; person?: boolean | undefined; secrets?: readonly (string | undefined)[] | undefined },
): CredentialError {
  const common = {
    retryAfterMs: retryAfterMs(headers['retry-after']),
    correlationId: one(headers['client-request-id']) ?? one(headers['x-ms-request-id']),
  };
  if (body === undefined) {
    // A captive portal or a proxy answers 200 with a page of its own.
    const seen = status < 400 ? 502 : status;
    return providerError({ ...common, status: seen, description: 'the answer is not JSON' }, about.who, about);
  }
  const description = text(body.error_description);
  const [code] = Array.isArray(body.error_codes) ? body.error_codes : [];
  return providerError(
    {
      ...common,
      status,
      error: text(body.error),
      description,
      aadsts: typeof code === 'number' ? code : aadstsOf(description),
      correlationId: text(body.correlation_id) ?? common.correlationId,
    },
    about.who,
    about,
  );
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function one(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header;
}
