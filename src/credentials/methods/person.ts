import type * as Msal from '@azure/msal-node';
import { InteractionRequiredError } from '../../errors.js';
import type { AccessToken, Credential, GetTokenOptions } from '../credential.js';
import { defineCredential } from '../define-credential.js';
import { type Authority, type AuthorityOptions, resolveAuthority } from '../entra/authority.js';
import type { HttpAgent } from '../entra/http-request.js';
import { type ClientProof, throughConfidentialApp, throughPublicApp } from '../entra/msal.js';
import { redact } from '../entra/redact.js';
import { scopeForAuthority } from '../entra/scope-for-server.js';
import { optionalText, requireClientId } from '../input/require-option.js';
import { limitConcurrency } from './limit-concurrency.js';

/** Azure CLI's application: exists in every tenant and may ask for Azure SQL. What `@azure/identity` uses too. */
const AZURE_CLI = '04b07795-8ddb-461a-bbee-02f9e1bf7b46';

/**
 * Where MSAL keeps what it knows, across restarts: any MSAL cache plugin, e.g. of `@azure/msal-node-extensions`. What it is
 * given holds refresh tokens in plain text; it must encrypt.
 */
export interface PersistentCache {
  beforeCacheAccess(context: PersistentCacheContext): Promise<void>;
  afterCacheAccess(context: PersistentCacheContext): Promise<void>;
}

export interface PersistentCacheContext {
  readonly cacheHasChanged: boolean;
  readonly tokenCache: { serialize(): string; deserialize(text: string): void };
}

/** What every way has in common by which a person signs in. */
export interface PersonOptions extends AuthorityOptions {
  /** Application (client) id of a public client. Default: that of Azure CLI. */
  clientId?: string | undefined;
  /** The person's user name: chosen among several that are signed in, and filled in on the sign-in page. */
  username?: string | undefined;
  /** Keeps the sign-in across restarts. Default: for the life of the process. */
  persistentCache?: PersistentCache | undefined;
  agent?: HttpAgent | undefined;
}

/** Keys of {@link PersonOptions}. */
export const PERSON_KEYS = [
  'tenantId',
  'authority',
  'allowInsecureAuthority',
  'clientId',
  'username',
  'persistentCache',
  'agent',
] as const;

export type MsalApp = Msal.PublicClientApplication | Msal.ConfidentialClientApplication;

/** One attempt to sign somebody in. */
export interface SignIn {
  authority: Authority;
  clientId: string;
  username: string | undefined;
  scope: string;
  options: GetTokenOptions;
  agent: HttpAgent | undefined;
  /** Runs a request through MSAL; whoever is signed in by it stays so. */
  ask(run: (app: MsalApp) => Promise<Msal.AuthenticationResult | null>): Promise<AccessToken>;
  /** To be called when the person is asked for something. */
  prompting(): void;
}

/** How one way signs somebody in. */
interface Flow {
  method: string;
  noun: string;
  identity: readonly unknown[];
  /** Fallback where no tenant is named. */
  anyTenant: string;
  requestTimeoutMs?: number | undefined;
  /** For confidential applications. */
  prove?: (() => Promise<{ proof: ClientProof; secrets: readonly string[] }>) | undefined;
  /** What must not turn up in an error. */
  secrets?: (() => readonly (string | undefined)[]) | undefined;
  signIn(attempt: SignIn): Promise<AccessToken>;
}

/** A person's credential: who signed in once stays so until the refresh token dies. */
export interface PersonCredential extends Credential {
  /**
   * Asks the person to sign in, also where that is not done by itself any more: one prompt per credential comes by itself,
   * so that nobody meets a storm of them.
   */
  signIn(options?: GetTokenOptions): Promise<void>;
}

/**
 * A credential of a person. Each request first renews silently with the refresh token; only where nobody is signed in yet
 * the flow's own sign-in starts, once, however many ask.
 *
 * @throws ConfigurationError naming the key
 */
export function personCredential(options: PersonOptions, flow: Flow): PersonCredential {
  const { agent } = options;
  const clientId = options.clientId === undefined ? AZURE_CLI : requireClientId(options.clientId);
  const username = optionalText(options.username, 'username');
  const authority = resolveAuthority(options, flow.anyTenant);
  const cachePlugin = (
    options.persistentCache === undefined ? memoryOnly() : tolerant(options.persistentCache)
  ) as Msal.ICachePlugin;
  let account: Msal.AccountInfo | undefined;
  let prompted = false;
  // One at a time: a person is asked once for all resources, and a refresh token may be good for one use only.
  const inTurn = limitConcurrency(1);

  const base = defineCredential({
    method: flow.method,
    id: () => account?.username || username,
    tenantId: () => account?.tenantId || authority.tenantId,
    identity: [authority.tokenEndpoint.href, clientId, username, agent, options.persistentCache, ...flow.identity],
    requestTimeoutMs: flow.requestTimeoutMs,
    request: (scope, requested) => inTurn(() => request(scope, requested)),
  });
  // Object.assign would read the getter `principal` once and for all.
  const signInNow = async (requested: GetTokenOptions = {}) => {
    await inTurn(() => signIn(scopeForAuthority(authority.tokenEndpoint), requested));
  };
  return Object.defineProperty(base, 'signIn', { value: signInNow, enumerable: true }) as PersonCredential;

  async function request(scope: string, requested: GetTokenOptions): Promise<AccessToken> {
    try {
      const renewed = await renew(scope, requested);
      if (renewed !== undefined) return renewed;
    } catch (error) {
      if (!(error instanceof InteractionRequiredError) || prompted) throw withMend(error);
    }
    if (prompted) throw withMend(new InteractionRequiredError(`Nobody signed in for the ${flow.noun}.`));
    return signIn(scope, requested);
  }

  /** With the refresh token; undefined where nobody is signed in. */
  async function renew(scope: string, requested: GetTokenOptions): Promise<AccessToken | undefined> {
    let nobody = false;
    const { claims } = requested;
    const renewing = ask(requested, async (app) => {
      const known = pick(await app.getTokenCache().getAllAccounts());
      nobody = known === undefined;
      if (known === undefined) return null;
      return app.acquireTokenSilent({
        account: known,
        scopes: [scope],
        forceRefresh: true,
        ...(claims === undefined ? {} : { claims }),
      });
    });
    return renewing.catch((error: unknown) => {
      if (nobody) return undefined;
      throw error;
    });
  }

  function signIn(scope: string, requested: GetTokenOptions): Promise<AccessToken> {
    const attempt: SignIn = {
      authority: authority.inTenant(requested.tenantId),
      clientId,
      username,
      scope,
      options: requested,
      agent,
      ask: (run) => ask(requested, run),
      prompting: () => {
        prompted = true;
      },
    };
    return flow.signIn(attempt);
  }

  async function ask(
    requested: GetTokenOptions,
    run: (app: MsalApp) => Promise<Msal.AuthenticationResult | null>,
  ): Promise<AccessToken> {
    const proven = await flow.prove?.();
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
      ? throughPublicApp(request, remembering)
      : throughConfidentialApp(request, proven.proof, remembering);
  }

  /** A shared cache may hold several people: never take another one's session. */
  function pick(accounts: readonly Msal.AccountInfo[]): Msal.AccountInfo | undefined {
    if (account !== undefined) return accounts.find((one) => one.homeAccountId === account?.homeAccountId);
    if (username !== undefined) {
      return accounts.find((one) => one.username.toLowerCase() === username.toLowerCase());
    }
    return accounts.length === 1 ? accounts[0] : undefined;
  }
}

function withMend(error: unknown): unknown {
  if (!(error instanceof InteractionRequiredError)) return error;
  const { message, status, aadsts, correlationId, cause } = error;
  const hint = `${error.hint ?? ''} Call signIn() of the credential; until then nobody is asked again.`.trim();
  return new InteractionRequiredError(message, { status, aadsts, correlationId, cause, hint });
}

/** A cache that fails must not fail the sign-in: MSAL would not even ask. What it knows is in memory as well. */
function tolerant(cache: PersistentCache): PersistentCache {
  const memory = memoryOnly();
  let warned = false;
  return {
    async beforeCacheAccess(context) {
      await memory.beforeCacheAccess(context);
      await cache.beforeCacheAccess(context).catch(warn);
    },
    async afterCacheAccess(context) {
      await memory.afterCacheAccess(context);
      await cache.afterCacheAccess(context).catch(warn);
    },
  };

  function warn(error: unknown): void {
    if (warned) return;
    warned = true;
    const reason = redact(String((error as Error)?.message));
    process.emitWarning(`The persistent token cache failed; the sign-in is kept in memory only: ${reason}`);
  }
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
