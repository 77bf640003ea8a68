import type { AuthorizationCodes } from './authorization-codes.js';
import type { DeviceCodes } from './device-codes.js';
import type { AppRegistration, Directory } from './directory.js';
import type { RefreshTokens } from './refresh-tokens.js';
import { refuse } from './refusal.js';
import type { TokenIssuer } from './token-issuer.js';

/** A request to the token endpoint, as passed to a grant. */
export interface TokenRequest {
  readonly form: URLSearchParams;
  /** `Authorization` header. */
  readonly authorization: string | undefined;
  /** The tenant, as an id. */
  readonly tenantId: string;
  /** 1: `/oauth2/token`, which takes a `resource`; 2: `/oauth2/v2.0/token`, which takes a `scope`. */
  readonly version: 1 | 2;
  readonly directory: Directory;
  readonly issuer: TokenIssuer;
  readonly refreshTokens: RefreshTokens;
  readonly deviceCodes: DeviceCodes;
  readonly authorizationCodes: AuthorizationCodes;
}

/** A required parameter; throws AADSTS900144 if it is missing. */
export function required(request: Pick<TokenRequest, 'form'>, name: string): string {
  const value = request.form.get(name);
  if (value === null || value === '') throw refuse(900144, name);
  return value;
}

/** The requesting application, by `client_id` or HTTP Basic; unknown ones are refused with AADSTS700016. */
export function callingApp(request: TokenRequest): AppRegistration {
  const clientId = basicCredentials(request.authorization)?.clientId ?? required(request, 'client_id');
  const app = request.directory.app(clientId);
  if (app === undefined) throw refuse(700016, clientId, request.tenantId);
  return app;
}

export function basicCredentials(authorization: string | undefined): { clientId: string; secret: string } | undefined {
  const [scheme, encoded] = authorization?.split(' ') ?? [];
  if (scheme?.toLowerCase() !== 'basic' || encoded === undefined) return undefined;
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  if (colon === -1) return undefined;
  // RFC 6749 section 2.3.1: both halves are form-encoded first.
  const [[clientId = '', secret = ''] = []] = new URLSearchParams(`${text.slice(0, colon)}=${text.slice(colon + 1)}`);
  return { clientId, secret };
}
