import { randomUUID } from 'node:crypto';
import { isIP } from 'node:net';
import { makeCertificate, makeCertificateAuthority, sharedCertificate } from '../certificate.js';
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
  /** Life of access tokens, seconds; a fraction is allowed. Default 3600, and 86,400 for managed identities. */
  tokenLifetimeSeconds?: number | undefined;
  /** `refresh_in` of answers, seconds. Default: none, as for ordinary one-hour tokens. */
  refreshInSeconds?: number | undefined;
  /** Answer with the same token again until it has expired, as a managed identity endpoint does. Default false. */
  sameToken?: boolean | undefined;
  /** Form of the claims: 1 (`appid`, `upn`; what Azure SQL gets, the default) or 2 (`azp`, `preferred_username`). */
  tokenVersion?: 1 | 2 | undefined;
  /** Serve https: `true` with an own certificate authority (`entra.ca`), or with a certificate of yours. */
  https?: boolean | { cert: string; key: string; ca?: string } | undefined;
  /** Address to listen on. Default `127.0.0.1`. */
  host?: string | undefined;
  /** Port to listen on. Default: any free one. */
  port?: number | undefined;
  /** Base URL by which clients reach it, where that is not the address it listens on, as in a container. */
  url?: string | undefined;
  /** Tenant id. Default: a random one. */
  tenantId?: string | undefined;
  /** The default application; what is not given is made up. */
  app?: AppOptions | undefined;
  /** The default person; what is not given is made up. */
  user?: UserOptions | undefined;
  /** `intervalSeconds` between polls, default 5; `expiresInSeconds` of a code, default 900. */
  deviceCode?: Partial<DeviceCodeSettings> | undefined;
  /** `lifetimeSeconds` without use, default 90 days; `oneTime`: refuse one that was used before, default false. */
  refreshTokens?: Partial<RefreshTokenSettings> | undefined;
  /** Life of revocable tokens, given to applications with the capability `cp1`, seconds. Default 28 h. */
  caeTokenLifetimeSeconds?: number | undefined;
  /**
   * RSA private key that signs the tokens, PEM: an emulator that is started again with the same one needs no new trust.
   * Default: one for all emulators of this process.
   */
  signingKey?: string | undefined;
  /** Where the Azure Arc endpoint puts its key files. Default: a directory of the emulator among the temporary files. */
  arcKeyDirectory?: string | undefined;
  /** The clock, epoch ms. Default `Date.now`. */
  now?: (() => number) | undefined;
}

/**
 * Starts a local stand-in for Microsoft Entra ID: real HTTP, real signed tokens, any life you like, any fault you need.
 * It knows one tenant with one application and its secret; add more with `addApp` and `addUser`.
 *
 * @throws RangeError for a life that is not greater than 0; TypeError for a signing key that is none; the error of `listen` where the port is taken.
 * @example
 * await using entra = await startEntraEmulator({ tokenLifetimeSeconds: 2 });
 * const pool = createTokenPool({ ...server.config(), authentication: { credential: entra.credential() } });
 */
export async function startEntraEmulator(options: EntraEmulatorOptions = {}): Promise<EntraEmulator> {
  const host = options.host ?? '127.0.0.1';
  const urlHost = isIP(host) === 6 ? `[${host}]` : host;
  const tls = tlsFor(options.https, host);
  // Service Fabric alone always speaks https.
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

/** Entra's: continuous access evaluation makes tokens last 20 to 28 hours. */
const CAE_LIFETIME_SECONDS = 28 * 3600;
/** Entra's: 90 days without use. */
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
