import { readJwtPayload } from './jwt-claims.js';

/** https://learn.microsoft.com/entra/workload-id/workload-identity-federation: errors of the federated credential. */
const FEDERATION_ERRORS = new Map<number, readonly ('issuer' | 'subject' | 'audience')[]>([
  [70021, ['issuer', 'subject', 'audience']],
  [700211, ['issuer']],
  [700212, ['audience']],
  [700213, ['subject']],
]);

const LONGEST_CLAIM = 400;

/**
 * Issuer, subject and audience of an assertion, against which Entra compares a federated credential. None of them is
 * secret.
 */
export interface FederationClaims {
  issuer: string;
  subject: string;
  audience: string;
}

/** @returns undefined if the assertion is not a JWT */
export function federationClaims(assertion: string): FederationClaims | undefined {
  const payload = readJwtPayload(assertion);
  if (payload === undefined) return undefined;
  const { iss, sub, aud } = payload;
  const audience = Array.isArray(aud) ? aud[0] : aud;
  return { issuer: shown(iss), subject: shown(sub), audience: shown(audience) };
}

/**
 * What to enter at the app registration, for the refusals of a federated credential: the mismatch that Entra reports, with
 * the values of the assertion.
 */
export function federationHint(assertion: string, aadsts: number | undefined): string | undefined {
  const mismatched = aadsts === undefined ? undefined : FEDERATION_ERRORS.get(aadsts);
  if (mismatched === undefined) return undefined;
  const claims = federationClaims(assertion);
  if (claims === undefined) return undefined;
  const { issuer, subject, audience } = claims;
  return (
    `Add a federated credential to the app registration, or correct its ${mismatched.join(', ')}: ` +
    `issuer '${issuer}', subject '${subject}', audience '${audience}'. Entra compares them exactly, including case.`
  );
}

function shown(claim: unknown): string {
  if (typeof claim !== 'string') return '(none)';
  // Claims of another issuer are untrusted: only one line of printable text is repeated.
  return claim.slice(0, LONGEST_CLAIM).replaceAll(/[^\x20-\x7e]/g, '?');
}
