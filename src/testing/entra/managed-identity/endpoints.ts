import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomSecret, type UserAccount } from '../directory.js';
import type { HttpAnswer } from '../http-listener.js';
import { appService } from './app-service.js';
import { AzureArc } from './azure-arc.js';
import { cloudShell } from './cloud-shell.js';
import type { IdentityRequest } from './identity-request.js';
import { imds } from './imds.js';
import { machineLearning } from './machine-learning.js';
import { serviceFabric } from './service-fabric.js';

/** The kinds of managed identity endpoints; `grantType` of their requests. */
export type ManagedIdentityKind =
  | 'imds'
  | 'app-service'
  | 'azure-arc'
  | 'cloud-shell'
  | 'service-fabric'
  | 'machine-learning';

/** One managed identity endpoint. */
export interface ManagedIdentityEndpoint {
  readonly url: string;
  /** The environment variables that the platform sets for it; set those of only one endpoint per process. */
  readonly env: Readonly<Record<string, string>>;
}

/** All managed identity endpoints of an emulator, each with its own protocol. */
export interface ManagedIdentityEndpoints {
  /** Virtual machines and AKS nodes; `AZURE_POD_IDENTITY_AUTHORITY_HOST` points here instead of to 169.254.169.254. */
  readonly imds: ManagedIdentityEndpoint;
  /** App Service, Functions, Container Apps. */
  readonly appService: ManagedIdentityEndpoint;
  /** Azure Arc. MSAL reads key files only in `/var/opt/azcmagent/tokens`: see the option `arcKeyDirectory`. */
  readonly azureArc: ManagedIdentityEndpoint;
  readonly cloudShell: ManagedIdentityEndpoint;
  /** Service Fabric; always https. `certificate` is the server's, PEM. */
  readonly serviceFabric: ManagedIdentityEndpoint & { readonly certificate: string };
  readonly machineLearning: ManagedIdentityEndpoint;
}

const PATHS: Readonly<Record<ManagedIdentityKind, string>> = {
  imds: '/metadata/identity/oauth2/token',
  'app-service': '/managed-identity/app-service',
  'azure-arc': '/managed-identity/azure-arc',
  'cloud-shell': '/managed-identity/cloud-shell',
  'service-fabric': '/managed-identity/service-fabric',
  'machine-learning': '/managed-identity/machine-learning',
};

/** The kind of endpoint at a path. Clients that append to `AZURE_POD_IDENTITY_AUTHORITY_HOST` may add a slash. */
export function managedIdentityKind(path: string): ManagedIdentityKind | undefined {
  const kinds = Object.keys(PATHS) as ManagedIdentityKind[];
  return kinds.find((kind) => PATHS[kind] === path || `${PATHS[kind]}/` === path);
}

/** Answers requests of all kinds, and lists the environment variables that point to each. */
export class ManagedIdentityPlatform {
  readonly endpoints: ManagedIdentityEndpoints;
  readonly #secret = randomSecret();
  readonly #arc: AzureArc;
  readonly #person: UserAccount;

  constructor(options: {
    url: string;
    fabric: { url: string; certificate: string; thumbprint: string };
    systemClientId: string;
    /** The user of the Cloud Shell. */
    person: UserAccount;
    arcKeyDirectory: string | undefined;
  }) {
    this.#person = options.person;
    this.#arc = new AzureArc(options.arcKeyDirectory ?? join(tmpdir(), 'entra-emulator-arc-tokens'));
    const url = (kind: ManagedIdentityKind) => options.url + PATHS[kind];
    const fabricUrl = options.fabric.url + PATHS['service-fabric'];
    this.endpoints = {
      imds: { url: url('imds'), env: { AZURE_POD_IDENTITY_AUTHORITY_HOST: options.url } },
      appService: {
        url: url('app-service'),
        env: { IDENTITY_ENDPOINT: url('app-service'), IDENTITY_HEADER: this.#secret },
      },
      azureArc: {
        url: url('azure-arc'),
        env: { IDENTITY_ENDPOINT: url('azure-arc'), IMDS_ENDPOINT: options.url },
      },
      cloudShell: { url: url('cloud-shell'), env: { MSI_ENDPOINT: url('cloud-shell') } },
      serviceFabric: {
        url: fabricUrl,
        certificate: options.fabric.certificate,
        env: {
          IDENTITY_ENDPOINT: fabricUrl,
          IDENTITY_HEADER: this.#secret,
          IDENTITY_SERVER_THUMBPRINT: options.fabric.thumbprint,
        },
      },
      machineLearning: {
        url: url('machine-learning'),
        env: {
          MSI_ENDPOINT: url('machine-learning'),
          MSI_SECRET: this.#secret,
          DEFAULT_IDENTITY_CLIENT_ID: options.systemClientId,
        },
      },
    };
  }

  answer(kind: ManagedIdentityKind, parts: Omit<IdentityRequest, 'secret'>): HttpAnswer {
    const request = { ...parts, secret: this.#secret };
    switch (kind) {
      case 'imds':
        return imds(request);
      case 'app-service':
        return appService(request);
      case 'azure-arc':
        return this.#arc.answer(request);
      case 'cloud-shell':
        return cloudShell(request, this.#person);
      case 'service-fabric':
        return serviceFabric(request);
      case 'machine-learning':
        return machineLearning(request);
    }
  }

  close(): void {
    this.#arc.close();
  }
}
