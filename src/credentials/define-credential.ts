import { AbortedError } from '../errors.js';
import type {
  AbortSignalLike,
  AccessToken,
  Credential,
  GetTokenOptions,
  IssuedToken,
  Principal,
} from './credential.js';
import { readJwtClaims } from './entra/jwt-claims.js';
import { registerIdentity } from './identity.js';

/** The definition of a credential. */
export interface CredentialDefinition {
  /** Name of the method, e.g. `service-principal-secret`; a function if a chain decides it. */
  method: string | (() => string);
  /** Application id, user name or another id of the principal; a function if it is known only later. */
  id?: string | undefined | (() => string | undefined);
  tenantId?: string | undefined | (() => string | undefined);
  /** Every option that decides which tokens the credential gets; secrets are kept as a hash only. */
  identity: readonly unknown[];
  /** Every environment variable that decides it. */
  environment?: object | undefined;
  /**
   * The same `identity` is the same principal in every process and on every machine, so that processes may share its
   * tokens. Default false: not for methods that depend on the host or on who is signed in there.
   */
  sameEverywhere?: boolean | undefined;
  /** Time limit of a request, ms, if the token cache's usual 10 s are too short. */
  requestTimeoutMs?: number | undefined;
  request(scope: string, options: GetTokenOptions): Promise<AccessToken | null>;
}

/** A credential as a plain object with closures: it survives `{...config}` and lodash, and printing it shows nothing. */
export function defineCredential(definition: CredentialDefinition): Credential {
  const { method, id, tenantId, requestTimeoutMs, request } = definition;
  let expiresOn: number | undefined;
  const credential: Credential = {
    async getToken(scopes, requested = {}) {
      const scope = Array.isArray(scopes) ? scopes.join(' ') : scopes;
      const options = { ...requested, abortSignal: signalFrom(requested.abortSignal) };
      const answer = await orAborted(request(scope, options), options.abortSignal);
      expiresOn = answer === null ? undefined : earliestEnd(answer);
      // A credential of the caller's own may return anything.
      return typeof answer === 'object' && answer !== null ? issued(answer) : null;
    },
    get principal(): Principal {
      return { method: current(method), id: current(id), tenantId: current(tenantId), expiresOn };
    },
    ...(requestTimeoutMs === undefined ? {} : { requestTimeoutMs }),
  };
  registerIdentity(credential, {
    method: current(method),
    parts: definition.identity,
    environment: definition.environment,
    portable: definition.sameEverywhere,
  });
  return credential;
}

/** As its issuer said, or by its own `exp`, whichever is earlier. */
function earliestEnd(answer: AccessToken): number | undefined {
  // A credential of the caller's own may return anything.
  const { token, expiresOnTimestamp } = Object(answer) as Partial<AccessToken>;
  const exp = typeof token === 'string' ? readJwtClaims(token)?.expiresOn : undefined;
  return expiresOnTimestamp === undefined || exp === undefined ? expiresOnTimestamp : Math.min(expiresOnTimestamp, exp);
}

function issued({ refreshAfterTimestamp, ...token }: AccessToken): IssuedToken {
  return refreshAfterTimestamp === undefined ? token : { ...token, refreshAfterTimestamp };
}

/** Clients of Azure services may pass a signal of their own make, which Node's functions refuse. */
function signalFrom(signal: AbortSignalLike | undefined): AbortSignal | undefined {
  if (signal === undefined || signal instanceof AbortSignal) return signal;
  const controller = new AbortController();
  if (signal.aborted) controller.abort();
  else signal.addEventListener('abort', () => controller.abort(), { once: true });
  return controller.signal;
}

/** The caller's callbacks, such as secret functions, do not get the signal: the wait for them ends here. */
function orAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  return new Promise<T>((resolve, reject) => {
    const onAbort = () => reject(new AbortedError('The token request was aborted.', { cause: signal.reason }));
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

function current<T extends string | undefined>(value: T | (() => T)): T {
  return typeof value === 'function' ? value() : value;
}
