import { ConfigurationError } from '../../errors.js';
import { readJwtClaims } from '../entra/jwt-claims.js';

/** Whom an assertion names, without any proof that it is true. */
export interface AssertedUser {
  /** Tenant and object id: the same in every token of this user, whatever application it is for. */
  principal: string | undefined;
  /** End of the assertion, epoch ms. */
  expiresOn: number | undefined;
}

/** @throws ConfigurationError for something that is no token */
export function userOfAssertion(assertion: unknown): AssertedUser {
  if (typeof assertion !== 'string' || assertion === '' || /\s/.test(assertion)) {
    throw new ConfigurationError("'userAssertion' must be the user's access token, without 'Bearer'.");
  }
  const claims = readJwtClaims(assertion);
  return { principal: claims?.principal, expiresOn: claims?.expiresOn };
}
