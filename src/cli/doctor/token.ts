import { INSTEAD_OF_PASSWORD } from '../../credentials/methods/password.js';
import type { CredentialError } from '../../errors.js';
import { NO_MANAGED_IDENTITY } from './advice.js';
import { decodeJwt } from './decode-jwt.js';
import { type DoctorContext, StepFailure, type StepResult } from './step.js';

/** A clock that is this far off, ms, is reported; tokens start to fail at a few minutes. */
const REPORTED_SKEW_MS = 30_000;
const ISSUER_TIMEOUT_MS = 3_000;

/** Step: a token, its principal, its remaining life, and whether the issuer's clock agrees with ours. */
export async function fetchToken(context: DoctorContext): Promise<StepResult> {
  const { source } = context.settings;
  if (source === undefined) {
    return { lines: ['not needed: this login uses a user name and password'], facts: { needed: false } };
  }
  const { tokens, scope } = source;
  const method = tokens.identity.split(':')[0];
  if (method === 'password') {
    context.findings.push({ text: `The credential method 'password' is deprecated. ${INSTEAD_OF_PASSWORD}` });
  }
  const token = await tokens.get(scope, { timeoutMs: context.timeoutMs }).catch((error: CredentialError) => {
    // An endpoint that answers has a status; without one, there is no such endpoint.
    const isMissing = error.status === undefined && error.code !== 'ERR_CONFIGURATION';
    if (method !== 'managed-identity' || !isMissing) throw error;
    throw new StepFailure(error.message, error.code, NO_MANAGED_IDENTITY);
  });
  const claims = decodeJwt(token.reveal());
  const minutesLeft = (token.expiresOn - context.now()) / 60_000;
  const facts = {
    needed: true,
    method,
    scope,
    principal: claims?.principal,
    objectId: claims?.objectId,
    tenantId: claims?.tenantId,
    audience: claims?.audience,
    expiresOn: new Date(token.expiresOn).toISOString(),
    issuerClockSkewMs: await issuerSkew(claims?.issuer, context.now),
  };
  const lines = [
    `by ${method}, as ${facts.principal ?? 'an unknown principal (the token cannot be read)'}${facts.tenantId ? ` of tenant ${facts.tenantId}` : ''}`,
    `for ${facts.audience ?? scope}, ${minutesLeft.toFixed(minutesLeft < 10 ? 1 : 0)} min left`,
  ];
  const skew = facts.issuerClockSkewMs;
  if (skew !== undefined) {
    lines.push(`clock: ${describeSkew(skew)} the issuer`);
    if (Math.abs(skew) > REPORTED_SKEW_MS) {
      context.findings.push({
        text: `The clock of this machine is ${describeSkew(skew)} the issuer of tokens: set it (NTP).`,
      });
    }
  }
  return { lines, facts };
}

/** `2.5 s ahead of`; positive is ahead. */
export function describeSkew(ms: number): string {
  if (Math.abs(ms) < 1_500) return 'in step with';
  const seconds = Math.abs(ms) / 1000;
  const size = seconds < 120 ? `${seconds.toFixed(0)} s` : `${(seconds / 60).toFixed(0)} min`;
  return ms > 0 ? `${size} ahead of` : `${size} behind`;
}

/**
 * The difference between our clock and the issuer's, ms, from the `Date` header of its answer; undefined without one.
 */
async function issuerSkew(issuer: string | undefined, now: () => number): Promise<number | undefined> {
  if (issuer === undefined || !/^https?:\/\//.test(issuer)) return undefined;
  try {
    const { origin } = new URL(issuer);
    const sentAt = now();
    const response = await fetch(origin, {
      method: 'HEAD',
      redirect: 'manual',
      signal: AbortSignal.timeout(ISSUER_TIMEOUT_MS),
    });
    const date = Date.parse(response.headers.get('date') ?? '');
    // The header has whole seconds: on average it is half a second behind.
    return Number.isNaN(date) ? undefined : Math.round((sentAt + now()) / 2 - (date + 500));
  } catch {
    return undefined;
  }
}
