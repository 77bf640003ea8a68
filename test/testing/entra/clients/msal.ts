import { ConfidentialClientApplication, PublicClientApplication } from '@azure/msal-node';
import type { EntraEmulator, TokenClaims } from '../../../../src/testing/index.js';

export const SCOPES = ['https://database.windows.net/.default'];

/** MSAL as a public client on a user's computer. */
export function publicClient(entra: EntraEmulator, clientId = entra.clientId): PublicClientApplication {
  return new PublicClientApplication({ auth: { clientId, ...entra.authority } });
}

/** MSAL as a confidential client with a secret. */
export function confidentialClient(entra: EntraEmulator): ConfidentialClientApplication {
  const { clientId, clientSecret } = entra;
  return new ConfidentialClientApplication({ auth: { clientId, clientSecret, ...entra.authority } });
}

/** The claims of a token that the emulator accepts for Azure SQL. */
export function claimsOf(entra: EntraEmulator, result: { accessToken: string } | null): TokenClaims {
  const claims = entra.verify(result?.accessToken ?? '', { audience: 'https://database.windows.net' });
  if (claims.error !== undefined) throw new Error(`the token is not accepted: ${claims.error}`);
  return claims;
}

/** Status and JSON of a plain request to the token endpoint. */
export async function postToken(entra: EntraEmulator, form: Record<string, string>, path = 'oauth2/v2.0/token') {
  const response = await fetch(`${entra.url}/${entra.tenantId}/${path}`, {
    method: 'POST',
    body: new URLSearchParams(form),
  });
  const body = (await response.json()) as Record<string, unknown> & { error_codes?: number[] };
  return { status: response.status, body, aadsts: body.error_codes?.[0] };
}
