import { randomUUID } from 'node:crypto';
import { isIP } from 'node:net';
import { makeCertificate, makeCertificateAuthority, sharedCertificate } from '../certificate.js';
import {
  BOOLEAN,
  CERTIFICATE,
  CLOCK,
  OBJECT,
  type OptionCheck,
  type OptionNames,
  PORT,
  requireKnownOptions,
  TEXT,
} from '../known-options.js';
import { AuthorizationCodes } from './authorization-codes.js';
import { type DeviceCodeSettings, DeviceCodes } from './device-codes.js';
import { type AppOptions, Directory, type UserOptions } from './directory.js';
import { EntraEmulator } from './emulator.js';
import { type HttpListener, type ListenOptions, listen } from './http-listener.js';
import { readSigningKey, sharedSigningKey } from './json-web-token.js';
import { ManagedIdentityPlatform } from './managed-identity/endpoints.js';
import { type RefreshTokenSettings, RefreshTokens } from './refresh-tokens.js';
import { EntraService } from './service.js';
import { TokenIssuer } from './token-issuer.js';

/** Settings of {@link startEntraEmulator}. */
export interface EntraEmulatorOptions {
  /** Lifetime of access tokens, seconds; may be fractional. Default 3600, and 86,400 for managed identities. */
  tokenLifetimeSeconds?: number | undefined;
  /** `refresh_in` of answers, seconds. Default: none, as for ordinary one-hour tokens. */
  refreshInSeconds?: number | undefined;
  /** Answer with the same token until it expires, as a managed identity endpoint does. Default false. */
  sameToken?: boolean | undefined;
  /** Version of the claims: 1 (`appid`, `upn`; what Azure SQL gets, the default) or 2 (`azp`, `preferred_username`). */
  tokenVersion?: 1 | 2 | undefined;
  /** Serve https: `true` with a generated certificate authority (`entra.ca`), or with your own certificate. */
  https?: boolean | { cert: string; key: string; ca?: string } | undefined;
  /** Address to listen on. Default `127.0.0.1`. */
  host?: string | undefined;
  /** Port to listen on. Default: any free port. */
  port?: number | undefined;
  /** Base URL for clients, if it differs from the listening address, as in a container. */
  url?: string | undefined;
  /** Tenant id. Default: a random one. */
  tenantId?: string | undefined;
  /** The default application; missing settings are generated. */
  app?: AppOptions | undefined;
  /** The default user; missing settings are generated. */
  user?: UserOptions | undefined;
  /** `intervalSeconds`: time between polls, default 5; `expiresInSeconds`: lifetime of a code, default 900. */
  deviceCode?: Partial<DeviceCodeSettings> | undefined;
  /** `lifetimeSeconds`: lifetime without use, default 90 days; `oneTime`: refuse a token used before, default false. */
  refreshTokens?: Partial<RefreshTokenSettings> | undefined;
  /** Lifetime of revocable tokens, issued to applications with the `cp1` capability, seconds. Default 28 h. */
  caeTokenLifetimeSeconds?: number | undefined;
  /**
   * RSA private key that signs the tokens, PEM. After a restart with the same key, servers still trust the emulator.
   * Default: one generated key for all emulators of this process.
   */
  signingKey?: string | undefined;
  /** Directory for the key files of the Azure Arc endpoint. Default: a temporary directory. */
  arcKeyDirectory?: string | undefined;
  /** The clock, epoch ms. Default `Date.now`. */
  now?: (() => number) | undefined;
}

const HTTPS: OptionCheck = {
  is: (value) => BOOLEAN.is(value) || CERTIFICATE.is(value),
  must: `true, false or ${CERTIFICATE.must}`,
};
/** It becomes part of URLs. */
const TENANT: OptionCheck = {
  is: (value) => typeof value === 'string' && /^[\w.-]{1,200}$/.test(value),
  must: 'an id or a domain name',
};
const VERSION: OptionCheck = { is: (value) => value === 1 || value === 2, must: '1 or 2' };

const OPTIONS: OptionNames<EntraEmulatorOptions> = {
  tokenLifetimeSeconds: true,
  refreshInSeconds: true,
  sameToken: BOOLEAN,
  tokenVersion: VERSION,
  https: HTTPS,
  host: TEXT,
  port: PORT,
  url: TEXT,
  tenantId: TENANT,
  app: OBJECT,
  user: OBJECT,
  deviceCode: OBJECT,
  refreshTokens: OBJECT,
  caeTokenLifetimeSeconds: true,
  signingKey: TEXT,
  arcKeyDirectory: TEXT,
  now: CLOCK,
};

/**
 * Starts a local stand-in for Microsoft Entra ID, with real HTTP, properly signed tokens, any token lifetime and any fault. It has
 * one tenant with one application and its secret; add more with `addApp` and `addUser`.
 *
 * @throws RangeError for a lifetime that is not greater than 0; TypeError for an unknown option or an invalid signing key; the error of
 *   `listen` if the port is taken.
 * @example
 * await using entra = await startEntraEmulator({ tokenLifetimeSeconds: 2 });
 * const pool = createTokenPool({ ...server.config(), authentication: { credential: entra.credential() } });
 */
export async function startEntraEmulator(options: EntraEmulatorOptions = {}): Promise<EntraEmulator> {
  requireKnownOptions('startEntraEmulator', options, OPTIONS);
  requireKnownOptions('deviceCode', options.deviceCode ?? {}, { intervalSeconds: true, expiresInSeconds: true });
  requireKnownOptions('refreshTokens', options.refreshTokens ?? {}, { lifetimeSeconds: true, oneTime: true });
  const host = options.host ?? '127.0.0.1';
  const urlHost = isIP(host) === 6 ? `[${host}]` : host;
  const tls = tlsFor(options.https, host);
  // Only Service Fabric always uses https.
  const fabricTls = sharedCertificate(host);
  const key = options.signingKey === undefined ? sharedSigningKey() : readSigningKey(options.signingKey);
  const listeners: HttpListener[] = [];
  const closeAll = async () => {
    await Promise.all(listeners.map((listener) => listener.close()));
  };
  let service: EntraService | undefined;
  const listenOn = async (port: number, certificate: ListenOptions['tls']): Promise<number> => {
    const onRequest: ListenOptions['onRequest'] = (request, response) => service?.onRequest(request, response);
    const listener = await listen({ host, port, tls: certificate, onRequest });
    listeners.push(listener);
    return listener.port;
  };
  try {
    const listening = `${tls === undefined ? 'http' : 'https'}://${urlHost}:${await listenOn(options.port ?? 0, tls)}`;
    const url = options.url?.replace(/\/{1,10}$/, '') ?? listening;
    const fabricUrl = `https://${urlHost}:${await listenOn(0, fabricTls)}`;
    const issuer = new TokenIssuer({
      url,
      key,
      now: options.now ?? (() => Date.now()),
      tokenLifetimeSeconds: options.tokenLifetimeSeconds,
      caeTokenLifetimeSeconds: options.caeTokenLifetimeSeconds ?? CAE_LIFETIME_SECONDS,
      refreshInSeconds: options.refreshInSeconds,
      sameToken: options.sameToken ?? false,
      tokenVersion: options.tokenVersion ?? 1,
    });
    const directory = new Directory(options.tenantId ?? randomUUID());
    const app = directory.addApp(options.app ?? {});
    const user = directory.addUser(options.user ?? {});
    const refreshTokens = new RefreshTokens({
      lifetimeSeconds: options.refreshTokens?.lifetimeSeconds ?? REFRESH_TOKEN_LIFETIME_SECONDS,
      oneTime: options.refreshTokens?.oneTime ?? false,
    });
    const deviceCodes = new DeviceCodes(
      {
        intervalSeconds: options.deviceCode?.intervalSeconds ?? 5,
        expiresInSeconds: options.deviceCode?.expiresInSeconds ?? 900,
      },
      user,
    );
    const platform = new ManagedIdentityPlatform({
      url,
      fabric: { url: fabricUrl, certificate: fabricTls.cert, thumbprint: fabricTls.thumbprint },
      systemClientId: directory.systemAssignedIdentity?.clientId ?? '',
      person: user,
      arcKeyDirectory: options.arcKeyDirectory,
    });
    const sessions = { refreshTokens, deviceCodes, authorizationCodes: new AuthorizationCodes() };
    service = new EntraService({ url, directory, issuer, platform, ...sessions });
    const close = async () => {
      platform.close();
      await closeAll();
    };
    const parts = { directory, issuer, platform, service, refreshTokens, deviceCodes, app, user, close };
    return new EntraEmulator({ url, ca: tls?.ca, ...parts });
  } catch (error) {
    await closeAll();
    throw error;
  }
}

/** As in Entra, where CAE tokens are valid for 20 to 28 hours. */
const CAE_LIFETIME_SECONDS = 28 * 3600;
/** As in Entra: 90 days without use. */
const REFRESH_TOKEN_LIFETIME_SECONDS = 90 * 86_400;

function tlsFor(
  https: EntraEmulatorOptions['https'],
  host: string,
): { cert: string; key: string; ca?: string | undefined } | undefined {
  if (https === undefined || https === false) return undefined;
  if (https !== true) return https;
  const issuer = makeCertificateAuthority({ commonName: 'Entra emulator authority' });
  const { cert, key } = makeCertificate({ commonName: host, altNames: [host], issuer });
  return { cert, key, ca: issuer.cert };
}
