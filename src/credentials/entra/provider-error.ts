import {
  type CredentialError,
  CredentialRejectedError,
  CredentialUnavailableError,
  InteractionRequiredError,
  TokenPoolError,
  TokenThrottledError,
  TokenUnavailableError,
} from '../../errors.js';
import { redact, redactedCause } from './redact.js';
import { retryAfterMs } from './retry-after.js';

/** What an identity provider said when it gave no token, as far as it said it. */
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
  cause?: unknown;
}

/** OAuth errors that a person can end by signing in again (OpenID Connect Core 3.1.2.6, Entra's own). */
const FOR_A_PERSON = new Set([
  'interaction_required',
  'login_required',
  'consent_required',
  'account_selection_required',
]);
/** OAuth errors that pass by themselves. */
const PASSING = new Set(['temporarily_unavailable', 'server_error', 'slow_down']);
const PASSING_STATUS = new Set([404, 408, 410, 425]);

/** What to do about the AADSTS numbers that people meet. https://learn.microsoft.com/entra/identity-platform/reference-error-codes */
const HINTS = new Map<number, string>([
  [7000215, "Set clientSecret to the secret's value, not its id."],
  [7000222, 'The client secret has expired: add a new one to the app registration and use it.'],
  [7000216, 'The app is a confidential one: give clientSecret, a certificate or an assertion.'],
  [7000218, 'Give clientSecret, a certificate or an assertion; or allow public client flows in the app registration.'],
  [7000112, 'The application is disabled in this tenant: enable it in Enterprise applications.'],
  [700016, 'Check clientId and tenantId: the application is not registered or not installed in that tenant.'],
  [700027, 'Upload the certificate to the app registration, or give the one that is uploaded there.'],
  [70021, 'Add a federated credential whose issuer, subject and audience match the assertion.'],
  [700211, 'Add a federated credential whose issuer matches the assertion.'],
  [700212, 'Add a federated credential whose audience matches the assertion.'],
  [700213, 'Add a federated credential whose subject matches the assertion.'],
  [700024, 'The assertion is outside its validity: check the clock of this machine.'],
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
  [700082, 'The refresh token has expired: sign in again.'],
  [50173, 'The sign-in was revoked: sign in again.'],
  [70043, 'The sign-in frequency policy wants a new sign-in.'],
  [70008, 'The code or refresh token has expired: sign in again.'],
  [54005, 'The authorization code was used before: sign in again.'],
  [500131, 'The assertion is for another application: its audience must be this clientId.'],
]);

/**
 * The typed error for an identity provider's answer.
 *
 * @param who what asked, for the message: `client secret of application 0000-...`
 * @param person whether a person can mend it by signing in again, so that `invalid_grant` means that
 */
export function providerError(
  answer: ProviderAnswer,
  who: string,
  options: { person?: boolean | undefined; secrets?: readonly (string | undefined)[] | undefined } = {},
): CredentialError {
  const said = firstSentences(answer.description) || answer.error || 'no reason given';
  const details = {
    status: answer.status,
    aadsts: answer.aadsts,
    correlationId: answer.correlationId,
    retryAfterMs: answer.retryAfterMs,
    cause: answer.cause,
    hint: answer.aadsts === undefined ? undefined : HINTS.get(answer.aadsts),
  };
  const told = (verb: string) =>
    redact(`${verb} (${answer.status === undefined ? '' : `HTTP ${answer.status}, `}${said})`, options.secrets);

  if (answer.status === 429) return new TokenThrottledError(told(`Too many token requests for the ${who}`), details);
  if (isPassing(answer)) return new TokenUnavailableError(told(`The identity provider failed for the ${who}`), details);
  if (FOR_A_PERSON.has(answer.error ?? '') || (options.person === true && answer.error === 'invalid_grant')) {
    return new InteractionRequiredError(told(`A person has to sign in again for the ${who}`), {
      ...details,
      hint: details.hint ?? 'Sign in again; nothing is retried until someone does.',
    });
  }
  return new CredentialRejectedError(told(`The identity provider refused the ${who}`), details);
}

function isPassing({ status, error }: ProviderAnswer): boolean {
  if (error !== undefined && PASSING.has(error)) return true;
  return status === undefined ? error === undefined : status >= 500 || PASSING_STATUS.has(status);
}

/** Entra appends trace id, correlation id and timestamp, each on its own line or behind two blanks. */
function firstSentences(description: string | undefined): string {
  return (
    (description ?? '')
      .split(/\r?\n|\s+(?=Trace ID:)/)[0]
      ?.slice(0, 400)
      .trim() ?? ''
  );
}

/** AADSTS number at the start of an `error_description`. */
export function aadstsOf(description: string | undefined): number | undefined {
  const match = /\bAADSTS(\d+)/.exec(description ?? '');
  return match === null ? undefined : Number(match[1]);
}

/**
 * Whatever a credential threw, as one of our errors: ours unchanged; `@azure/identity`'s and MSAL's by their fields (their
 * classes exist once per installed copy, so `instanceof` is no use); anything else as "unavailable", to be asked again.
 */
export function asCredentialFailure(thrown: unknown): TokenPoolError {
  if (thrown instanceof TokenPoolError) return thrown;
  const foreign = (
    typeof thrown === 'object' && thrown !== null ? thrown : { message: String(thrown) }
  ) as ForeignError;
  const cause = redactedCause(thrown);
  const message = redact(firstSentences(String(foreign.message ?? '')) || 'no reason given');
  if (foreign.name === 'CredentialUnavailableError') return new CredentialUnavailableError(message, { cause });
  if (foreign.name === 'AuthenticationRequiredError' || foreign.name === 'InteractionRequiredAuthError') {
    return new InteractionRequiredError(message, { cause, aadsts: aadstsOf(foreign.message) });
  }
  const status = foreign.statusCode ?? foreign.status;
  if (typeof status === 'number') {
    const { errorResponse } = foreign;
    return providerError(
      {
        status,
        error: errorResponse?.error ?? foreign.errorCode,
        description: errorResponse?.errorDescription ?? foreign.message,
        aadsts: errorResponse?.errorCodes?.[0] ?? foreign.aadsts ?? aadstsOf(foreign.message),
        correlationId: errorResponse?.correlationId ?? foreign.correlationId,
        retryAfterMs: foreign.retryAfterMs ?? retryAfterMs(foreign.response?.headers?.get?.('retry-after')),
        cause,
      },
      "caller's own credential",
    );
  }
  return new TokenUnavailableError(`The credential failed: ${message}`, { cause });
}

interface ForeignError {
  name?: string;
  message?: string;
  status?: number;
  statusCode?: number;
  errorCode?: string;
  aadsts?: number;
  retryAfterMs?: number;
  correlationId?: string;
  errorResponse?: { error?: string; errorDescription?: string; errorCodes?: number[]; correlationId?: string };
  response?: { headers?: { get?: (name: string) => string | undefined | null } };
}
