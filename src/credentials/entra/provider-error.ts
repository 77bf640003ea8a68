import {
  ConfigurationError,
  type CredentialError,
  CredentialRejectedError,
  CredentialUnavailableError,
  InteractionRequiredError,
  TokenPoolError,
  TokenThrottledError,
  TokenUnavailableError,
} from '../../errors.js';
import { jsonObject, retryAfterMs, saneRetryAfterMs } from './http-request.js';
import { soundError } from './own-error.js';
import { property, redact, redactedCause, textOf, textProperty } from './redact.js';

/** An identity provider's answer without a token, as far as it could be read. */
export interface ProviderAnswer {
  /** HTTP status. */
  status?: number | undefined;
  /** OAuth `error` (RFC 6749 section 5.2). */
  error?: string | undefined;
  /** `error_description`. */
  description?: string | undefined;
  /** First AADSTS number. */
  aadsts?: number | undefined;
  correlationId?: string | undefined;
  retryAfterMs?: number | undefined;
  /** Claims challenge: what the next sign-in must satisfy, as JSON. */
  claims?: string | undefined;
  /** The answer did not come from an identity provider: a proxy's page, for example. Another attempt may help. */
  foreign?: boolean | undefined;
  cause?: unknown;
}

export interface ProviderErrorOptions {
  /** Whether `invalid_grant` ends when a person signs in again. */
  person?: boolean | undefined;
  /** Secrets that must not appear in the error. */
  secrets?: readonly (string | undefined)[] | undefined;
  /** Who answered, if not the identity provider: `GitHub Actions`. `who` then says what was requested: `issue a token`. */
  answeredBy?: string | undefined;
  /** A more specific hint than that of the AADSTS number. */
  explain?: ((aadsts: number | undefined) => string | undefined) | undefined;
}

/**
 * OAuth errors that end when a person signs in again (OpenID Connect Core 3.1.2.6, Entra's own). `insufficient_claims` is
 * the token endpoint's claims challenge (continuous access evaluation).
 */
const FOR_A_PERSON = new Set([
  'interaction_required',
  'login_required',
  'consent_required',
  'account_selection_required',
  'insufficient_claims',
]);
/**
 * Refusals of an assertion that a new sign-in cannot change: wrong audience, an application's own token, or not a JWT.
 */
const WRONG_ASSERTION = new Set([500131, 7000114, 50027]);
/** Transient OAuth errors. */
const PASSING = new Set(['temporarily_unavailable', 'server_error', 'slow_down']);
const PASSING_STATUS = new Set([404, 408, 410, 425]);

const LONGEST_REASON = 400;

/** What to do about the AADSTS numbers that users meet. https://learn.microsoft.com/entra/identity-platform/reference-error-codes */
const HINTS = new Map<number, string>([
  [7000215, "Set clientSecret to the secret's value, not its id."],
  [7000222, 'The client secret has expired: add a new one to the app registration and use it.'],
  [7000216, 'The app is a confidential client: set clientSecret, a certificate or an assertion.'],
  [7000218, 'Set clientSecret, a certificate or an assertion; or allow public client flows in the app registration.'],
  [7000112, 'The application is disabled in this tenant: enable it in Enterprise applications.'],
  [700016, 'Check clientId and tenantId: the application is not registered or not installed in that tenant.'],
  [700027, 'Upload the certificate to the app registration, or use the one that is uploaded there.'],
  [70021, 'Add a federated credential whose issuer, subject and audience match the assertion.'],
  [700211, 'Add a federated credential whose issuer matches the assertion.'],
  [700212, 'Add a federated credential whose audience matches the assertion.'],
  [700213, 'Add a federated credential whose subject matches the assertion.'],
  [
    700024,
    'The assertion has expired or is not yet valid: check that its file or variable is still renewed, and the clock of this machine.',
  ],
  [90002, 'Check tenantId and the authority (public, US Government or China cloud).'],
  [900023, 'Check tenantId: a GUID or a domain of the tenant.'],
  [500011, 'Check the scope: the resource does not exist in that tenant.'],
  [1002012, 'The scope must end with /.default.'],
  [70011, 'The scope must end with /.default.'],
  [65001, 'Grant consent to the application.'],
  [50034, 'Check the user name: the account does not exist in that tenant.'],
  [50126, 'Check user name and password.'],
  [50055, 'The password has expired: change it.'],
  [50057, 'The account is disabled.'],
  [50076, 'Multi-factor authentication is required: sign in interactively.'],
  [50079, 'Multi-factor authentication must be set up: sign in interactively.'],
  [53003, 'A Conditional Access policy blocks this sign-in.'],
  [530036, 'A Conditional Access policy requires a new sign-in.'],
  [700082, 'The refresh token has expired: sign in again.'],
  [50173, 'The sign-in was revoked: sign in again.'],
  [70043, 'The sign-in frequency policy requires a new sign-in.'],
  [70008, 'The code or refresh token has expired: sign in again.'],
  [54005, 'The authorization code was used before: sign in again.'],
  [500131, 'The assertion is for another application: its audience must be this clientId.'],
  [7000114, "The assertion is an application's own token: only the token of a signed-in person can be exchanged."],
  [50027, "The assertion is not a valid JWT: pass the token alone, without 'Bearer '."],
]);

/**
 * The typed error for an identity provider's answer.
 *
 * @param who what made the request, for the message: `client secret of application 0000-...`; with `answeredBy`, the
 *   request: `issue a token`
 */
export function providerError(
  answer: ProviderAnswer,
  who: string,
  { person = false, secrets = [], answeredBy, explain }: ProviderErrorOptions = {},
): CredentialError {
  const { status, error, aadsts, cause } = answer;
  const clean = (text: string | undefined) => redact(text ?? '', secrets);
  const reason =
    firstSentences(clean(answer.description)) || clean(error).slice(0, LONGEST_REASON) || 'no reason given';
  const details = {
    status,
    aadsts,
    correlationId: identifier(clean(answer.correlationId)),
    retryAfterMs: saneRetryAfterMs(answer.retryAfterMs),
    cause,
    hint: explain?.(aadsts) ?? (aadsts === undefined ? undefined : HINTS.get(aadsts)),
  };
  const message = (text: string) => `${text} (${status === undefined ? '' : `HTTP ${status}, `}${reason})`;

  if (answeredBy !== undefined) {
    if (status === 429)
      return new TokenThrottledError(message(`${answeredBy} throttles the request to ${who}`), details);
    if (isPassing(answer)) return new TokenUnavailableError(message(`${answeredBy} failed to ${who}`), details);
    return new CredentialRejectedError(message(`${answeredBy} refused to ${who}`), details);
  }
  if (status === 429) return new TokenThrottledError(message(`Too many token requests for the ${who}`), details);
  if (isPassing(answer)) {
    return new TokenUnavailableError(message(`The identity provider failed for the ${who}`), details);
  }
  if (FOR_A_PERSON.has(error ?? '') || (person && error === 'invalid_grant' && !WRONG_ASSERTION.has(aadsts ?? 0))) {
    return new InteractionRequiredError(message(`A new sign-in is required for the ${who}`), {
      ...details,
      claims: soundClaims(answer.claims, clean),
      hint: details.hint ?? 'Sign in again; there is no retry until then.',
    });
  }
  return new CredentialRejectedError(message(`The identity provider rejected the ${who}`), details);
}

const LONGEST_CLAIMS = 4_096;

/** A claims challenge is a JSON object (OpenID Connect Core section 5.5) without secrets; anything else is not passed on. */
function soundClaims(text: string | undefined, clean: (text: string) => string): string | undefined {
  if (text === undefined || text.length > LONGEST_CLAIMS) return undefined;
  const claims = jsonObject(text);
  if (claims === undefined) return undefined;
  let sound = true;
  // Redacted value by value: as a whole, its member `access_token` would look like a secret.
  JSON.stringify(claims, (key, value: unknown) => {
    for (const part of [key, value]) if (typeof part === 'string' && clean(part) !== part) sound = false;
    return value;
  });
  return sound ? text : undefined;
}

function isPassing({ status, error, foreign }: ProviderAnswer): boolean {
  if (foreign === true || (error !== undefined && PASSING.has(error))) return true;
  return status === undefined ? error === undefined : status >= 500 || PASSING_STATUS.has(status);
}

/** Entra appends trace id, correlation id and timestamp, each on its own line or after two blanks. */
function firstSentences(description: string): string {
  const line = description.split('\n', 1)[0] ?? '';
  const trace = line.indexOf(' Trace ID:');
  return (trace === -1 ? line : line.slice(0, trace)).trim().slice(0, LONGEST_REASON);
}

/** The AADSTS number of an `error_description`; undefined if there is none. */
export function aadstsOf(description: string | undefined): number | undefined {
  const match = /\bAADSTS(\d{1,10})\b/.exec((description ?? '').slice(0, 4_096));
  return match === null ? undefined : Number(match[1]);
}

function identifier(text: string): string | undefined {
  return /^[\w-]{1,64}$/.test(text) ? text : undefined;
}

/**
 * Converts anything that a credential threw to one of our errors: our own unchanged if it is well-formed; `@azure/identity`'s and MSAL's
 * by their fields (their classes exist once per installed copy, so `instanceof` does not work); anything else as
 * "unavailable", to be retried. Never throws, whatever the input: a getter, a proxy, a number in place of a string.
 */
export function asCredentialFailure(thrown: unknown): TokenPoolError {
  if (isOwn(thrown)) return soundError(thrown);
  const text = textOf(thrown);
  const cause = redactedCause(thrown);
  const message = firstSentences(redact(text)) || 'no reason given';
  const name = textProperty(thrown, 'name');
  if (name === 'CredentialUnavailableError') return new CredentialUnavailableError(message, { cause });
  if (name === 'AuthenticationRequiredError' || name === 'InteractionRequiredAuthError') {
    return new InteractionRequiredError(message, { cause, aadsts: aadstsOf(text) });
  }
  if (isLostMember(thrown, text)) {
    return new ConfigurationError(
      `The credential object is a copy that lost its private fields or methods: ${message}`,
      {
        cause,
        hint: 'A deep copy of a config breaks a credential. Pass the credential itself, or a function that calls it.',
      },
    );
  }
  const answer = property(thrown, 'errorResponse');
  const status = statusOf(property(thrown, 'statusCode')) ?? statusOf(property(thrown, 'status'));
  const delay = saneRetryAfterMs(property(thrown, 'retryAfterMs')) ?? retryAfterMs(retryAfterHeader(thrown));
  if (status !== undefined) {
    const description = textProperty(answer, 'errorDescription') ?? text;
    return providerError(
      {
        status,
        error: textProperty(answer, 'error') ?? textProperty(thrown, 'errorCode'),
        description,
        aadsts:
          aadstsNumber(property(property(answer, 'errorCodes'), '0')) ??
          aadstsNumber(property(thrown, 'aadsts')) ??
          aadstsOf(description),
        correlationId: textProperty(answer, 'correlationId') ?? textProperty(thrown, 'correlationId'),
        retryAfterMs: delay,
        cause,
      },
      "caller's own credential",
    );
  }
  return new TokenUnavailableError(`The credential failed: ${message}`, { cause, retryAfterMs: delay });
}

/** `instanceof` reads the prototype of a proxy, which may throw. */
function isOwn(thrown: unknown): thrown is TokenPoolError {
  try {
    return thrown instanceof TokenPoolError;
  } catch {
    return false;
  }
}

/** V8's messages for a private field or a method that an object does not have: a copy loses both. */
const LOST_MEMBER =
  /^(?:Cannot (?:read|write) private member|Receiver must be|Object must be an instance|this\.[\w.]{1,100} is not a function$)/;

function isLostMember(thrown: unknown, message: string): boolean {
  return textProperty(thrown, 'name') === 'TypeError' && LOST_MEMBER.test(message.slice(0, 500));
}

function statusOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value >= 100 && value <= 599 ? value : undefined;
}

export function aadstsNumber(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : undefined;
}

/** `Headers`, or core-rest-pipeline's own kind of headers. */
function retryAfterHeader(thrown: unknown): unknown {
  const headers = property(property(thrown, 'response'), 'headers');
  const get = property(headers, 'get');
  if (typeof get !== 'function') return undefined;
  try {
    return get.call(headers, 'retry-after');
  } catch {
    return undefined;
  }
}
