import { ConfigurationError } from '../../errors.js';
import { readEnvironment } from '../input/environment.js';

/** The identity provider's endpoints for one tenant. */
export interface Authority {
  tenantId: string;
  /** `auth` settings for MSAL. */
  msal: { authority: string; authorityMetadata?: string; knownAuthorities?: string[] };
  tokenEndpoint: URL;
  deviceCodeEndpoint: URL;
  authorizeEndpoint: URL;
  /** The same provider for another tenant. */
  inTenant(tenantId: string | undefined): Authority;
}

/** The tenant and the identity provider that issue the tokens. */
export interface AuthorityOptions {
  /** Directory (tenant) id, or a domain of the tenant. */
  tenantId?: string;
  /**
   * Identity provider, with or without the tenant as its path. Default `AZURE_AUTHORITY_HOST`, or else
   * `https://login.microsoftonline.com`. Plain HTTP is allowed only to this machine, for an emulator. */
  authority?: string | undefined;
  /** Allows plain http to another machine: an emulator in a container. Never for a real identity provider. */
  allowInsecureAuthority?: boolean | undefined;
}

const PUBLIC_CLOUD = 'https://login.microsoftonline.com';
/** Hosts whose metadata MSAL has built in. For all others we name the endpoints, so that no discovery is needed. */
const KNOWN_TO_MSAL = new Set([
  'login.microsoftonline.com',
  'login.windows.net',
  'login.microsoft.com',
  'sts.windows.net',
  'login.partner.microsoftonline.cn',
  'login.chinacloudapi.cn',
  'login.microsoftonline.us',
  'login.usgovcloudapi.net',
]);

/**
 * @param fallbackTenant for methods that work without a tenant, e.g. `organizations`
 * @throws ConfigurationError naming `tenantId` or `authority`
 */
export function resolveAuthority(options: AuthorityOptions, fallbackTenant?: string): Authority {
  const given = options.authority ?? readEnvironment().AZURE_AUTHORITY_HOST ?? PUBLIC_CLOUD;
  const base = parseAuthority(given, options.allowInsecureAuthority === true);
  const tenantInPath = base.pathname.split('/').find((segment) => segment !== '');
  if (tenantInPath !== undefined && options.tenantId !== undefined && tenantInPath !== options.tenantId) {
    throw new ConfigurationError(`'tenantId' and the tenant in 'authority' differ; give one of them.`);
  }
  const tenantId = options.tenantId ?? tenantInPath ?? fallbackTenant;
  if (tenantId === undefined || tenantId === '') {
    throw new ConfigurationError("'tenantId' is missing.", {
      hint: 'It is the Directory (tenant) ID on the overview page of the app registration.',
    });
  }
  return authorityOf(base, tenantId);
}

function authorityOf(base: URL, tenantId: string): Authority {
  if (typeof tenantId !== 'string' || !/^[\w.-]{1,253}$/.test(tenantId)) {
    throw new ConfigurationError("'tenantId' must be a GUID or a domain name of the tenant.");
  }
  const root = `${base.origin}/${tenantId}`;
  const endpoint = (name: string) => `${root}/oauth2/v2.0/${name}`;
  return {
    tenantId,
    tokenEndpoint: new URL(endpoint('token')),
    deviceCodeEndpoint: new URL(endpoint('devicecode')),
    authorizeEndpoint: new URL(endpoint('authorize')),
    msal: base.protocol === 'https:' && KNOWN_TO_MSAL.has(base.host) ? { authority: root } : elsewhere(),
    inTenant: (other) => authorityOf(base, other ?? tenantId),
  };

  function elsewhere(): Authority['msal'] {
    // MSAL refuses an http authority, but not http endpoints; the authority's name is never contacted then.
    const authority = base.protocol === 'https:' ? root : `${PUBLIC_CLOUD}/${tenantId}`;
    return {
      authority,
      knownAuthorities: [new URL(authority).host],
      authorityMetadata: JSON.stringify({
        issuer: `${root}/v2.0`,
        authorization_endpoint: endpoint('authorize'),
        token_endpoint: endpoint('token'),
        jwks_uri: `${root}/discovery/v2.0/keys`,
      }),
    };
  }
}

function parseAuthority(given: unknown, allowInsecure: boolean): URL {
  const text = typeof given === 'string' && given.length <= 2_048 ? given : '::';
  // `login.microsoftonline.us` without a scheme is what AZURE_AUTHORITY_HOST may hold.
  const url = URL.canParse(text)
    ? new URL(text)
    : URL.canParse(`https://${text}`)
      ? new URL(`https://${text}`)
      : undefined;
  if (url === undefined || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new ConfigurationError("'authority' must be a URL such as https://login.microsoftonline.com.");
  }
  const here = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname);
  if (url.protocol === 'http:' && !here && !allowInsecure) {
    throw new ConfigurationError("'authority' must use https: a secret would be sent in cleartext.", {
      hint: 'For an emulator on another machine, set allowInsecureAuthority: true.',
    });
  }
  return url;
}
