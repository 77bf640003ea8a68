import { randomBytes, randomUUID } from 'node:crypto';
import { type OptionNames, requireKnownOptions } from '../known-options.js';
import type { JsonWebKeySet } from './json-web-token.js';
import { refuse } from './refusal.js';

/** An application that can request tokens. */
export interface AppRegistration {
  readonly kind: 'app';
  readonly clientId: string;
  /** Home tenant. */
  readonly tenantId: string;
  /** Object id of its service principal: `oid` and `sub` of its tokens. */
  readonly objectId: string;
  readonly displayName: string;
  /** Undefined if the application has no secret. */
  readonly clientSecret: string | undefined;
  /** When the secret expires. Default: never. */
  readonly secretExpiresOn: Date | undefined;
  /** Whether user flows work without a secret ("Allow public client flows"). Default true. */
  readonly publicClient: boolean;
  /** Redirect URIs, in addition to `http://localhost` and `http://127.0.0.1` with any port. */
  readonly redirectUris: readonly string[];
  /** Certificates it may sign its assertions with, PEM. */
  readonly certificates: readonly string[];
  /** Unregistered certificates are accepted as well if sent as `x5c`, with this name, from this issuer. */
  readonly trustedSubjects: readonly TrustedSubject[];
  /** External issuers whose tokens authenticate this application. */
  readonly federatedCredentials: readonly FederatedCredential[];
  /** For an agent identity (Microsoft Entra Agent ID): client id of its blueprint, whose exchange token authenticates it. */
  readonly blueprintClientId: string | undefined;
}

/** Subject name and issuer authentication: a renewed certificate needs no registration. */
export interface TrustedSubject {
  /** Common name of the certificate. */
  commonName: string;
  /** The authority that issued it, PEM. */
  authority: string;
}

/** A federated identity credential; subject, issuer and audience must match exactly. */
export interface FederatedCredential {
  /** `sub` of the external token, e.g. `system:serviceaccount:shop:api`. */
  subject: string;
  /** `iss` of the external token. Default: the emulator itself, which acts as a Kubernetes cluster (`issueFederatedToken`). */
  issuer?: string | undefined;
  /** Default `api://AzureADTokenExchange`. */
  audience?: string | undefined;
  /** Keys of an external issuer. */
  jwks?: JsonWebKeySet | undefined;
}

/** A user account. */
export interface UserAccount {
  readonly kind: 'user';
  /** User principal name, e.g. `ada@contoso.example`. */
  readonly userName: string;
  readonly password: string;
  readonly tenantId: string;
  readonly objectId: string;
  readonly displayName: string;
  /** Requires a second factor in every flow that supports one; a password alone is refused with AADSTS50076. */
  readonly mfaRequired: boolean;
  /** Refused with AADSTS50057. */
  readonly disabled: boolean;
  /** For the user account of an agent identity: client id of that agent identity. */
  readonly agentClientId: string | undefined;
}

/** An identity that Azure manages: of one machine or app (system-assigned), or shared (user-assigned). */
export interface ManagedIdentity {
  readonly kind: 'managed-identity';
  readonly clientId: string;
  readonly objectId: string;
  /** Azure Resource Manager id. */
  readonly resourceId: string;
  readonly tenantId: string;
}

/** The kinds of principals that a token can identify. */
export type EntraPrincipal = AppRegistration | UserAccount | ManagedIdentity;

/** Settings of an application; missing ones are generated. */
export type AppOptions = Partial<Omit<AppRegistration, 'kind'>>;
/** Settings of a managed identity; missing ones are generated. */
export type ManagedIdentityOptions = Partial<Omit<ManagedIdentity, 'kind'>>;
/** Settings of a user; missing ones are generated. */
export type UserOptions = Partial<Omit<UserAccount, 'kind'>>;

const APP: OptionNames<AppRegistration> = {
  kind: true,
  clientId: true,
  tenantId: true,
  objectId: true,
  displayName: true,
  clientSecret: true,
  secretExpiresOn: true,
  publicClient: true,
  redirectUris: true,
  certificates: true,
  trustedSubjects: true,
  federatedCredentials: true,
  blueprintClientId: true,
};
const USER: OptionNames<UserAccount> = {
  kind: true,
  userName: true,
  password: true,
  tenantId: true,
  objectId: true,
  displayName: true,
  mfaRequired: true,
  disabled: true,
  agentClientId: true,
};
const MANAGED_IDENTITY: OptionNames<ManagedIdentity> = {
  kind: true,
  clientId: true,
  objectId: true,
  resourceId: true,
  tenantId: true,
};

/** Azure CLI's client id: a public client that exists in every tenant. The default application for users. */
export const AZURE_CLI_CLIENT_ID = '04b07795-8ddb-461a-bbee-02f9e1bf7b46';

const RESOURCE_GROUP = '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/emulator';

const TENANT_ALIASES = new Set(['common', 'organizations']);

/** Resources that exist in every tenant, in all clouds. */
const MICROSOFT_RESOURCES = [
  'https://database.windows.net',
  'https://database.usgovcloudapi.net',
  'https://database.chinacloudapi.cn',
  'https://database.cloudapi.de',
  'https://sql.azuresynapse.net',
  'https://sql.azuresynapse.usgovcloudapi.net',
  'https://sql.azuresynapse.azure.cn',
  'https://analysis.windows.net/powerbi/api',
  'https://graph.microsoft.com',
  'https://vault.azure.net',
  'https://vault.usgovcloudapi.net',
  'https://vault.azure.cn',
  'https://management.azure.com',
  'https://management.core.windows.net',
  'https://storage.azure.com',
  'https://redis.azure.com',
  // The audience of exchange tokens: federated and agent identities.
  'api://AzureADTokenExchange',
  'api://AzureADTokenExchangeUSGov',
  'api://AzureADTokenExchangeChina',
];

/** Entra's directory: tenants, applications, users and resources. */
export class Directory {
  readonly homeTenantId: string;
  /** The system-assigned identity of the machine; undefined if it has none. */
  systemAssignedIdentity: ManagedIdentity | undefined;
  readonly #tenants = new Set<string>();
  readonly #apps = new Map<string, AppRegistration>();
  readonly #managedIdentities = new Map<string, ManagedIdentity>();
  readonly #users = new Map<string, UserAccount>();
  readonly #resources = new Set(MICROSOFT_RESOURCES);

  constructor(tenantId: string) {
    this.homeTenantId = tenantId.toLowerCase();
    this.#tenants.add(this.homeTenantId);
    this.systemAssignedIdentity = this.addManagedIdentity({
      resourceId: `${RESOURCE_GROUP}/providers/Microsoft.Compute/virtualMachines/machine`,
    });
    this.addApp({ clientId: AZURE_CLI_CLIENT_ID, displayName: 'Microsoft Azure CLI', clientSecret: undefined });
  }

  addTenant(tenantId: string): void {
    this.#tenants.add(tenantId.toLowerCase());
  }

  get tenants(): string[] {
    return [...this.#tenants];
  }

  /** The tenant named by a request; the aliases (`common`, `organizations`, ...) stand for the home tenant. */
  tenant(name: string): string {
    if (TENANT_ALIASES.has(name.toLowerCase())) return this.homeTenantId;
    if (!this.#tenants.has(name.toLowerCase())) throw refuse(90002, name);
    return name.toLowerCase();
  }

  addApp(options: AppOptions): AppRegistration {
    requireKnownOptions('addApp', options, APP);
    const app: AppRegistration = {
      clientId: randomUUID(),
      tenantId: this.homeTenantId,
      objectId: randomUUID(),
      displayName: 'Test application',
      // An agent identity has no credentials of its own.
      clientSecret: options.blueprintClientId === undefined ? randomSecret() : undefined,
      secretExpiresOn: undefined,
      publicClient: options.blueprintClientId === undefined,
      redirectUris: [],
      certificates: [],
      trustedSubjects: [],
      federatedCredentials: [],
      blueprintClientId: undefined,
      ...options,
      kind: 'app',
    };
    this.#apps.set(app.clientId.toLowerCase(), app);
    this.#resources.add(`api://${app.clientId}`).add(app.clientId);
    return app;
  }

  /** Changes an application in place, e.g. rotates its secret or adds a certificate. */
  updateApp(clientId: string, changes: AppOptions): AppRegistration {
    requireKnownOptions('updateApp', changes, APP);
    const current = this.#apps.get(clientId.toLowerCase());
    if (current === undefined) throw new TypeError(`There is no application ${clientId}; addApp() creates one`);
    const app: AppRegistration = { ...current, ...changes, clientId: current.clientId, kind: 'app' };
    this.#apps.set(clientId.toLowerCase(), app);
    return app;
  }

  removeApp(clientId: string): void {
    this.#apps.delete(clientId.toLowerCase());
  }

  app(clientId: string): AppRegistration | undefined {
    return this.#apps.get(clientId.toLowerCase());
  }

  addUser(options: UserOptions): UserAccount {
    requireKnownOptions('addUser', options, USER);
    const user: UserAccount = {
      userName: `user${this.#users.size + 1}@emulator.example`,
      password: randomSecret(),
      tenantId: this.homeTenantId,
      objectId: randomUUID(),
      displayName: 'Test user',
      mfaRequired: false,
      disabled: false,
      agentClientId: undefined,
      ...options,
      kind: 'user',
    };
    this.#users.set(user.userName.toLowerCase(), user);
    return user;
  }

  updateUser(userName: string, changes: UserOptions): UserAccount {
    requireKnownOptions('updateUser', changes, USER);
    const current = this.user(userName);
    if (current === undefined) throw new TypeError(`There is no user ${userName}; addUser() creates one`);
    const user: UserAccount = { ...current, ...changes, userName: current.userName, kind: 'user' };
    this.#users.set(userName.toLowerCase(), user);
    return user;
  }

  userByObjectId(objectId: string): UserAccount | undefined {
    return [...this.#users.values()].find((user) => user.objectId === objectId);
  }

  user(userName: string): UserAccount | undefined {
    return this.#users.get(userName.toLowerCase());
  }

  addManagedIdentity(options: ManagedIdentityOptions): ManagedIdentity {
    requireKnownOptions('addManagedIdentity', options, MANAGED_IDENTITY);
    const name = `identity${this.#managedIdentities.size + 1}`;
    const identity: ManagedIdentity = {
      clientId: randomUUID(),
      objectId: randomUUID(),
      resourceId: `${RESOURCE_GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/${name}`,
      tenantId: this.homeTenantId,
      ...options,
      kind: 'managed-identity',
    };
    this.#managedIdentities.set(identity.clientId, identity);
    return identity;
  }

  /** Ids are compared case-insensitively, as in Azure. */
  managedIdentity(idKind: 'clientId' | 'objectId' | 'resourceId', id: string): ManagedIdentity | undefined {
    const wanted = id.toLowerCase();
    return [...this.#managedIdentities.values()].find((identity) => identity[idKind].toLowerCase() === wanted);
  }

  addResource(uri: string): void {
    this.#resources.add(uri.replace(/\/$/, ''));
  }

  /** Throws AADSTS500011 for a resource that is not registered. */
  assertResource(resource: string, tenant: string): void {
    const name = resource.replace(/\/$/, '');
    if (!this.#resources.has(name)) throw refuse(500011, resource, tenant);
  }

  /** Resolves a principal given as an object, a client id or a user name. */
  principal(given: EntraPrincipal | string): EntraPrincipal {
    if (typeof given !== 'string') return given;
    const found = this.app(given) ?? this.user(given) ?? this.managedIdentity('clientId', given);
    if (found === undefined)
      throw new TypeError(`The directory knows no application, user or managed identity '${given}'`);
    return found;
  }
}

/** 40 characters, like the portal's secrets; none of them ever needs escaping. */
export function randomSecret(): string {
  return randomBytes(30).toString('base64url');
}
