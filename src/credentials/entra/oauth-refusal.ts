import type { CredentialError } from '../../errors.js';
import { type HttpReply, retryAfterMs } from './http-request.js';
import { aadstsNumber, aadstsOf, type ProviderErrorOptions, providerError } from './provider-error.js';

/** The typed error for an answer of the token endpoint without a token (RFC 6749 section 5.2, Entra's additions). */
export function oauthRefusal(
  reply: HttpReply,
  body: Record<string, unknown> | undefined,
  about: ProviderErrorOptions & { who: string },
): CredentialError {
  const { status, headers } = reply;
  const options = { ...about, secrets: [...(about.secrets ?? []), ...reply.secrets()] };
  const common = {
    status,
    retryAfterMs: retryAfterMs(headers['retry-after']),
    correlationId: firstOf(headers['client-request-id']) ?? firstOf(headers['x-ms-request-id']),
  };
  if (body === undefined) {
    // A captive portal or a proxy answers 200 with its own page, or 101.
    const foreign = status < 400;
    return providerError({ ...common, foreign, description: 'the answer is not JSON' }, about.who, options);
  }
  const description = textIn(body.error_description);
  const [code] = Array.isArray(body.error_codes) ? body.error_codes : [];
  return providerError(
    {
      ...common,
      error: textIn(body.error),
      description,
      claims: textIn(body.claims),
      aadsts: aadstsNumber(code) ?? aadstsOf(description),
      correlationId: textIn(body.correlation_id) ?? common.correlationId,
    },
    about.who,
    options,
  );
}

function textIn(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function firstOf(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header;
}
