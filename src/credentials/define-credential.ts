import type { AccessToken, Credential, GetTokenOptions, Principal } from './credential.js';
import { registerIdentity } from './identity.js';

/** What one way of getting a token consists of. */
export interface CredentialDefinition {
  /** Name of the way, e.g. `service-principal-secret`; a function where a chain decides it. */
  method: string | (() => string);
  /** Application id, user name, or what else says who this is; a function where it is known only later. */
  id?: string | undefined | (() => string | undefined);
  tenantId?: string | undefined | (() => string | undefined);
  /** Everything that decides which tokens come out; secrets are kept as a hash only. */
  identity: readonly unknown[];
  /**
   * The same `identity` is the same principal in every process and on every machine, so that processes may share its
   * tokens. Default false: not for what depends on the host or on who is signed in there.
   */
  sameEverywhere?: boolean | undefined;
  /** Longest a request takes, ms, where the token cache's usual 10 s are too short. */
  requestTimeoutMs?: number | undefined;
  request(scope: string, options: GetTokenOptions): Promise<AccessToken | null>;
}

/** A credential as a plain object with closures: it survives `{...config}` and lodash, and shows nothing when printed. */
export function defineCredential(definition: CredentialDefinition): Credential {
  const { method, id, tenantId, requestTimeoutMs, request } = definition;
  let expiresOn: number | undefined;
  const credential: Credential = {
    async getToken(scopes, options = {}) {
      const scope = Array.isArray(scopes) ? scopes.join(' ') : scopes;
      const answer = await request(scope, options);
      expiresOn = answer?.expiresOnTimestamp;
      return answer;
    },
    get principal(): Principal {
      return { method: now(method), id: now(id), tenantId: now(tenantId), expiresOn };
    },
    ...(requestTimeoutMs === undefined ? {} : { requestTimeoutMs }),
  };
  registerIdentity(credential, now(method), definition.identity, definition.sameEverywhere);
  return credential;
}

function now<T extends string | undefined>(value: T | (() => T)): T {
  return typeof value === 'function' ? value() : value;
}
