import { refuse } from './refusal.js';

/** What the `claims` parameter asks for, as far as it matters here (OpenID Connect Core section 5.5). */
export interface RequestedClaims {
  /** Client capabilities: `cp1` says the application can handle a claims challenge (continuous access evaluation). */
  capabilities: readonly string[];
  /** True where more than that is asked for: the answer to a claims challenge must not be the token of before. */
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
