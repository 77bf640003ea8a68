/**
 * The shape of every credential: that of `TokenCredential` in `@azure/core-auth`, declared here so that nothing is
 * imported from it. Credentials are accepted by duck typing, so several installed copies of `@azure/core-auth` cause no
 * problem.
 */
export interface AccessToken {
  /** The token itself. */
  token: string;
  /** When it expires, epoch milliseconds. */
  expiresOnTimestamp: number;
  /** When the issuer recommends a refresh, epoch milliseconds. */
  refreshAfterTimestamp?: number | undefined;
  /** `Bearer` or absent; any other type is refused. */
  tokenType?: string | undefined;
}

/** Options of a token request besides its scope, as in `@azure/core-auth`. */
export interface GetTokenOptions {
  /** Cancels the request, if the credential supports that. */
  abortSignal?: AbortSignal | undefined;
  /** Claims challenge to pass to the identity provider. */
  claims?: string | undefined;
  /** A tenant other than the credential's own. */
  tenantId?: string | undefined;
  /** Continuous access evaluation: long-lived tokens that can be revoked. */
  enableCae?: boolean | undefined;
  requestOptions?: { timeout?: number | undefined } | undefined;
}

/** The signal of `@azure/abort-controller`; every `AbortSignal` is one. */
export interface AbortSignalLike {
  readonly aborted: boolean;
  addEventListener(type: 'abort', listener: () => void, options?: { once?: boolean }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

/** The options that clients of Azure services pass to our credentials: the same, but with their own kind of signal. */
export interface CredentialTokenOptions extends Omit<GetTokenOptions, 'abortSignal'> {
  abortSignal?: AbortSignalLike | undefined;
}

/**
 * A token from one of our credentials. Optional properties are never undefined, as clients of Azure services require.
 */
export interface IssuedToken extends Pick<AccessToken, 'token' | 'expiresOnTimestamp'> {
  refreshAfterTimestamp?: number;
}

/** Anything with `getToken(scopes, options)`: ours, `@azure/identity`'s, or the caller's own object. */
export interface TokenCredential {
  getToken(scopes: string | string[], options?: GetTokenOptions): Promise<AccessToken | null>;
}

/** The principal of a credential, as far as it is known without a token request. Free of secrets. */
export interface Principal {
  /** How the token is obtained, e.g. `service-principal-secret`. */
  method: string;
  /** Application (client) id, or user name for flows with a person. */
  id?: string | undefined;
  tenantId?: string | undefined;
  /** When the latest token expires, epoch milliseconds. */
  expiresOn?: number | undefined;
}

/** A credential made by {@link createCredential}: a plain object with closures, because ORMs clone configs. */
export interface Credential extends TokenCredential {
  getToken(scopes: string | string[], options?: CredentialTokenOptions): Promise<IssuedToken | null>;
  /** Who this is. A getter: each read returns a new plain object with the expiry of the latest token. */
  readonly principal: Principal;
  /** Time limit of a request, ms, if the usual 10 s are too short: a person signs in, a tool starts. */
  readonly requestTimeoutMs?: number;
}

/** A secret, or a function that returns the current one. It is called for each token request, so that a rotated one is used. */
export type Secret = string | (() => string | Promise<string>);
