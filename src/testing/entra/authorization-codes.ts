import { createHash, randomBytes } from 'node:crypto';
import type { SignIn } from './refresh-tokens.js';
import { refuse } from './refusal.js';

/** The sign-in behind an authorization code. */
export interface Authorization {
  readonly signIn: SignIn;
  readonly redirectUri: string;
  readonly nonce: string | undefined;
  /** RFC 7636; undefined if the application sent none. */
  readonly challenge: { value: string; method: 'S256' | 'plain' } | undefined;
}

/** Entra's codes expire after about ten minutes. */
const LIFETIME_MS = 600_000;

/** Authorization codes (RFC 6749 section 4.1), each good for one redemption. */
export class AuthorizationCodes {
  readonly #issued = new Map<string, { authorization: Authorization; issuedAt: number; redeemed: boolean }>();

  issue(authorization: Authorization, now: number): string {
    const code = `1.${randomBytes(64).toString('base64url')}`;
    this.#issued.set(code, { authorization, issuedAt: now, redeemed: false });
    return code;
  }

  redeem(
    code: string,
    shown: { clientId: string; redirectUri: string; verifier: string | null },
    now: number,
  ): Authorization {
    const issued = this.#issued.get(code);
    const { clientId } = shown;
    if (issued === undefined || issued.authorization.signIn.clientId !== clientId) throw refuse(70000, 'code');
    const { authorization } = issued;
    if (issued.redeemed) throw refuse(54005);
    if (now - issued.issuedAt >= LIFETIME_MS) throw refuse(70008);
    if (shown.redirectUri !== authorization.redirectUri) {
      throw refuse(500112, shown.redirectUri, authorization.redirectUri);
    }
    if (!answers(authorization.challenge, shown.verifier)) throw refuse(501481);
    issued.redeemed = true;
    return authorization;
  }
}

function answers(challenge: Authorization['challenge'], verifier: string | null): boolean {
  if (challenge === undefined) return verifier === null;
  if (verifier === null) return false;
  if (challenge.method === 'plain') return verifier === challenge.value;
  return createHash('sha256').update(verifier).digest('base64url') === challenge.value;
}
