import type * as Msal from '@azure/msal-node';
import { InteractionRequiredError, TokenTimeoutError } from '../../errors.js';
import { limitConcurrency, within } from '../concurrency.js';
import type { AccessToken, Credential, GetTokenOptions } from '../credential.js';
import { defineCredential } from '../define-credential.js';
import { type Authority, type AuthorityOptions, resolveAuthority } from '../entra/authority.js';
import type { ClientProof } from '../entra/client-proof.js';
import { type HttpAgent, jsonObject } from '../entra/http-request.js';
import { requestAsConfidentialApp, requestAsPublicApp } from '../entra/msal.js';
import { redact, textOf } from '../entra/redact.js';
import { scopeForAuthority } from '../entra/scope-for-server.js';
import { optionalText, requireAgent, requireClientId } from '../input/require-option.js';
import type { OptionNames } from './method.js';

/** Azure CLI's application: exists in every tenant and may request Azure SQL. `@azure/identity` uses it as well. */
const AZURE_CLI = '04b07795-8ddb-461a-bbee-02f9e1bf7b46';

/**
 * Keeps MSAL's cache across restarts: any MSAL cache plugin, e.g. of `@azure/msal-node-extensions`. The cache contains
 * refresh tokens in plain text; the plugin must encrypt them. A plugin that takes longer than 5 s counts as failed.
 */
export interface PersistentCache {
  beforeCacheAccess(context: PersistentCacheContext): Promise<void>;
  afterCacheAccess(context: PersistentCacheContext): Promise<void>;
}

/** The argument that MSAL passes to a cache plugin before and after each access to its cache. */
export interface PersistentCacheContext {
  readonly cacheHasChanged: boolean;
  readonly tokenCache: { serialize(): string; deserialize(text: string): void };
}

/** Options of every method with which a person signs in. */
export interface PersonOptions extends AuthorityOptions {
  /** Application (client) id of a public client. Default: that of Azure CLI. */
  clientId?: string | undefined;
  /** The person's user name: selects one of several signed-in accounts, and is filled in on the sign-in page. */
  username?: string;
  /** Keeps the sign-in across restarts. Default: for the life of the process. */
  persistentCache?: PersistentCache | undefined;
  /** For a proxy, or a private certificate authority in front of the identity provider. */
  agent?: HttpAgent | undefined;
}

/** Names of {@link PersonOptions}. */
export const PERSON_OPTIONS: OptionNames<PersonOptions> = {
  tenantId: true,
  authority: true,
  allowInsecureAuthority: true,
  clientId: true,
  username: true,
  persistentCache: true,
  agent: true,
};

/** For flows without a prompt: at most two requests to the identity provider. */
const REQUEST_TIMEOUT_MS = 30_000;
/** A file or a keyring answers in milliseconds. */
const CACHE_TIMEOUT_MS = 5_000;

/** @internal */
export type MsalApp = Msal.PublicClientApplication | Msal.ConfidentialClientApplication;

/**
 * One attempt to sign a person in.
 *
 * @internal
 */
export interface SignIn {
  authority: Authority;
  clientId: string;
  username: string | undefined;
  scope: string;
  options: GetTokenOptions;
  agent: HttpAgent | undefined;
  /** Runs a request through MSAL; the account stays signed in afterwards. */
  ask(run: (app: MsalApp) => Promise<Msal.AuthenticationResult | null>): Promise<AccessToken>;
  /** Call it when the person is prompted. */
  prompting(): void;
}

/**
 * The way in which one method signs a person in.
 *
 * @internal
 */
interface Flow {
  method: string;
  noun: string;
  identity: readonly unknown[];
  /** The tenant if none is configured. */
  anyTenant: string;
  requestTimeoutMs?: number | undefined;
  /** For confidential applications. */
  prove?:
    | ((signal: AbortSignal | undefined) => Promise<{ proof: ClientProof; secrets: readonly string[] }>)
    | undefined;
  /** Secrets that must not appear in an error. */
  secrets?: (() => readonly (string | undefined)[]) | undefined;
  signIn(attempt: SignIn): Promise<AccessToken>;
}

/** A person's credential: after one sign-in the person stays signed in until the refresh token expires. */
export interface PersonCredential extends Credential {
  /**
   * Prompts the person to sign in. Each credential prompts once by itself, so that a person never gets a flood of
   * prompts; after that, only this method prompts.
   */
  signIn(options?: GetTokenOptions): Promise<void>;
}

/**
 * A credential of a person. Each request first renews silently with the refresh token. Only if no account is signed in
 * yet, the flow's own sign-in starts: once, however many requests wait for it.
 *
 * @throws ConfigurationError naming the option
 *
 * @internal MSAL's types stay out of the published ones: they do not compile under `node16` without `skipLibCheck`.
 */
export function personCredential(options: PersonOptions, flow: Flow): PersonCredential {
  const { agent } = options;
  requireAgent(agent);
  const clientId = options.clientId === undefined ? AZURE_CLI : requireClientId(options.clientId);
  const username = optionalText(options.username, 'username');
  const authority = resolveAuthority(options, flow.anyTenant);
  const cachePlugin = (
    options.persistentCache === undefined ? memoryOnly() : tolerant(options.persistentCache)
  ) as Msal.ICachePlugin;
  let account: Msal.AccountInfo | undefined;
  let prompted = false;
  /** What the identity provider demanded when it last refused to renew the token; the next sign-in passes it on. */
  let challenge: string | undefined;
  // One at a time: a person is prompted once for all resources, and a refresh token may be valid for a single use.
  const oneAtATime = limitConcurrency(1);
  const limitMs = flow.requestTimeoutMs ?? REQUEST_TIMEOUT_MS;
  /** The next request starts when this one ends, so it must end: a prompt or a cache plugin may never answer. */
  const inTurn = <T>(requested: GetTokenOptions, work: () => Promise<T>) =>
    oneAtATime(() =>
      within(work(), {
        timeoutMs: limitMs,
        signal: requested.abortSignal,
        what: `The ${flow.noun}`,
        onTimeout: () =>
          new TokenTimeoutError(`The ${flow.noun} did not finish within ${Math.round(limitMs / 1000)} s.`),
      }),
    );

  const base = defineCredential({
    method: flow.method,
    id: () => account?.username || username,
    tenantId: () => account?.tenantId || authority.tenantId,
    identity: [authority.tokenEndpoint.href, clientId, username, agent, options.persistentCache, ...flow.identity],
    requestTimeoutMs: flow.requestTimeoutMs,
    request: (scope, requested) => inTurn(requested, () => request(scope, requested)),
  });
  // Object.assign would read the getter `principal` only once.
  const signInNow = async (requested: GetTokenOptions = {}) => {
    await inTurn(requested, () => signIn(scopeForAuthority(authority.tokenEndpoint), requested));
  };
  return Object.defineProperty(base, 'signIn', { value: signInNow, enumerable: true }) as PersonCredential;

  async function request(scope: string, requested: GetTokenOptions): Promise<AccessToken> {
    try {
      const renewed = await renew(scope, requested);
      if (renewed !== undefined) return renewed;
    } catch (error) {
      if (error instanceof InteractionRequiredError) challenge = error.claims ?? challenge;
      if (!(error instanceof InteractionRequiredError) || prompted) throw withHint(error);
    }
    if (prompted) throw withHint(new InteractionRequiredError(`No one signed in for the ${flow.noun}.`));
    return signIn(scope, requested);
  }

  /** Renews with the refresh token; undefined if no account is signed in. */
  async function renew(scope: string, requested: GetTokenOptions): Promise<AccessToken | undefined> {
    let signedOut = false;
    const { claims } = requested;
    const renewing = ask(requested, async (app) => {
      const known = pick(await app.getTokenCache().getAllAccounts());
      signedOut = known === undefined;
      if (known === undefined) return null;
      return app.acquireTokenSilent({
        account: known,
        scopes: [scope],
        forceRefresh: true,
        ...(claims === undefined ? {} : { claims }),
      });
    });
    return renewing.catch((error: unknown) => {
      if (signedOut) return undefined;
      throw error;
    });
  }

  async function signIn(scope: string, requested: GetTokenOptions): Promise<AccessToken> {
    const attempt: SignIn = {
      authority: authority.inTenant(requested.tenantId),
      clientId,
      username,
      scope,
      options: { ...requested, claims: requested.claims ?? challenge },
      agent,
      ask: (run) => ask(requested, run),
      prompting: () => {
        prompted = true;
      },
    };
    const token = await flow.signIn(attempt);
    challenge = undefined;
    return token;
  }

  async function ask(
    requested: GetTokenOptions,
    run: (app: MsalApp) => Promise<Msal.AuthenticationResult | null>,
  ): Promise<AccessToken> {
    const proven = await flow.prove?.(requested.abortSignal);
    const request = {
      authority: authority.inTenant(requested.tenantId),
      clientId,
      who: flow.noun,
      person: true,
      secrets: [...(proven?.secrets ?? []), ...(flow.secrets?.() ?? [])],
      options: requested,
      agent,
      cachePlugin,
    };
    const remembering = async (app: MsalApp) => {
      const result = await run(app);
      account = result?.account ?? account;
      return result;
    };
    return proven === undefined
      ? requestAsPublicApp(request, remembering)
      : requestAsConfidentialApp(request, proven.proof, remembering);
  }

  /** A shared cache may hold several accounts: never use that of another person. */
  function pick(accounts: readonly Msal.AccountInfo[]): Msal.AccountInfo | undefined {
    if (account !== undefined) return accounts.find((one) => one.homeAccountId === account?.homeAccountId);
    if (username !== undefined) {
      return accounts.find((one) => one.username.toLowerCase() === username.toLowerCase());
    }
    return accounts.length === 1 ? accounts[0] : undefined;
  }
}

function withHint(error: unknown): unknown {
  if (!(error instanceof InteractionRequiredError)) return error;
  const { message, status, aadsts, correlationId, claims, cause } = error;
  const hint = `${error.hint ?? ''} Call signIn() of the credential; it does not prompt again by itself.`.trim();
  return new InteractionRequiredError(message, { status, aadsts, correlationId, claims, cause, hint });
}

/**
 * A failing cache must not fail the sign-in: MSAL would not even send the request. The cache's content is in memory as
 * well.
 */
function tolerant(cache: PersistentCache): PersistentCache {
  const memory = memoryOnly();
  let warned = false;
  return {
    async beforeCacheAccess(context) {
      await memory.beforeCacheAccess(context);
      await inTime(() => cache.beforeCacheAccess(context)).catch((error) => warn(error, context));
    },
    async afterCacheAccess(context) {
      await memory.afterCacheAccess(context);
      await inTime(() => cache.afterCacheAccess(context)).catch((error) => warn(error, context));
    },
  };

  async function inTime(access: () => Promise<void>): Promise<void> {
    await within(Promise.resolve().then(access), {
      timeoutMs: CACHE_TIMEOUT_MS,
      what: 'The cache access',
      onTimeout: () => new TokenTimeoutError(`it did not answer within ${CACHE_TIMEOUT_MS} ms`),
    });
  }

  function warn(error: unknown, { tokenCache }: PersistentCacheContext): void {
    if (warned) return;
    warned = true;
    const reason = redact(textOf(error), secretsIn(tokenCache.serialize())).slice(0, 400);
    process.emitWarning(`The persistent token cache failed; the sign-in is kept only in memory: ${reason}`);
  }
}

/** The tokens in MSAL's cache, which the error of a plugin may quote: each is the `secret` of its entry. */
function secretsIn(serialized: string): string[] {
  const tables = Object.values((jsonObject(serialized) ?? {}) as Record<string, Record<string, { secret?: unknown }>>);
  const secrets = tables.flatMap((table) => Object.values(table ?? {}).map((entry) => entry?.secret));
  return secrets.filter((secret) => typeof secret === 'string');
}

/** MSAL's own memory, carried from one application object to the next. */
function memoryOnly(): PersistentCache {
  let memory = '';
  return {
    async beforeCacheAccess({ tokenCache }) {
      if (memory !== '') tokenCache.deserialize(memory);
    },
    async afterCacheAccess({ cacheHasChanged, tokenCache }) {
      if (cacheHasChanged) memory = tokenCache.serialize();
    },
  };
}
