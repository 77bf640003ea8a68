/** Claims worth showing. They are not verified. */
export interface ShownClaims {
  /** User name or client id. */
  principal: string | undefined;
  objectId: string | undefined;
  tenantId: string | undefined;
  audience: string | undefined;
  issuer: string | undefined;
}

/** Undefined if the token is not a JWT. */
export function decodeJwt(token: string): ShownClaims | undefined {
  try {
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'));
    const text = (...names: string[]): string | undefined =>
      names.map((name) => claims[name]).find((value) => typeof value === 'string' && value !== '');
    return {
      principal: text('upn', 'preferred_username', 'unique_name', 'appid', 'azp'),
      objectId: text('oid'),
      tenantId: text('tid'),
      audience: text('aud'),
      issuer: text('iss'),
    };
  } catch {
    return undefined;
  }
}
