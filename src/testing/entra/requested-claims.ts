import { refuse } from './refusal.js';

/** The supported parts of the `claims` parameter (OpenID Connect Core section 5.5). */
export interface RequestedClaims {
  /** Client capabilities: `cp1` means that the application handles claims challenges (continuous access evaluation). */
  capabilities: readonly string[];
  /** True if it requests anything else: after a claims challenge, the previous token must not be issued again. */
  fresh: boolean;
}

export function requestedClaims(form: URLSearchParams): RequestedClaims {
  const text = form.get('claims');
  if (text === null || text === '') return { capabilities: [], fresh: false };
  const accessToken = record(record(parse(text)).access_token);
  const { xms_cc: capabilities, ...others } = accessToken;
  const { values, value } = record(capabilities);
  return {
    capabilities: (Array.isArray(values) ? values : [value]).filter((name) => typeof name === 'string'),
    fresh: Object.keys(others).length > 0,
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw refuse(90014, 'claims');
  }
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
