import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type EntraEmulator, startEntraEmulator } from '../../../src/testing/index.js';

/**
 * Compares the emulator's answers, field by field, with the documents that Microsoft publishes: which fields exist, their
 * types, and which are omitted on purpose.
 */

/** A published field in the emulator: its type, or why it is missing. */
type Comparison = Record<string, 'text' | 'number' | 'list' | 'boolean' | 'null' | 'own address' | { absent: string }>;

const NO_LOGOUT = { absent: 'there is no browser session to end' };
const NO_GRAPH = { absent: 'there is no Microsoft Graph' };
const NOT_A_CLOUD = { absent: 'it names a cloud of Microsoft, and the emulator is none' };

/** https://login.microsoftonline.com/{tenant}/v2.0/.well-known/openid-configuration, OpenID Connect Discovery 1.0 section 3. */
const DISCOVERY: Comparison = {
  issuer: 'own address',
  authorization_endpoint: 'own address',
  token_endpoint: 'own address',
  device_authorization_endpoint: 'own address',
  end_session_endpoint: 'own address',
  jwks_uri: 'own address',
  token_endpoint_auth_methods_supported: 'list',
  response_modes_supported: 'list',
  response_types_supported: 'list',
  scopes_supported: 'list',
  subject_types_supported: 'list',
  id_token_signing_alg_values_supported: 'list',
  claims_supported: 'list',
  request_uri_parameter_supported: 'boolean',
  tenant_region_scope: 'null',
  http_logout_supported: NO_LOGOUT,
  frontchannel_logout_supported: NO_LOGOUT,
  userinfo_endpoint: NO_GRAPH,
  msgraph_host: NO_GRAPH,
  cloud_graph_host_name: NO_GRAPH,
  cloud_instance_name: NOT_A_CLOUD,
  rbac_url: NOT_A_CLOUD,
  kerberos_endpoint: { absent: 'there is no Kerberos' },
};

/** https://login.microsoftonline.com/{tenant}/discovery/v2.0/keys, RFC 7517. */
const KEY: Comparison = {
  kty: 'text',
  use: 'text',
  kid: 'text',
  x5t: 'text',
  n: 'text',
  e: 'text',
  x5c: { absent: 'the key comes without a certificate' },
  issuer: { absent: 'every tenant of the emulator has the same keys' },
  cloud_instance_name: NOT_A_CLOUD,
};

/** https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow and -auth-code-flow. */
const TOKEN_V2: Comparison = {
  token_type: 'text',
  scope: 'text',
  expires_in: 'number',
  ext_expires_in: 'number',
  access_token: 'text',
  refresh_token: 'text',
  id_token: 'text',
  client_info: 'text',
};

/** https://learn.microsoft.com/previous-versions/azure/active-directory/azuread-dev/v1-oauth2-client-creds-grant-flow. */
const TOKEN_V1: Comparison = {
  token_type: 'text',
  expires_in: 'text',
  ext_expires_in: 'text',
  expires_on: 'text',
  not_before: 'text',
  resource: 'text',
  access_token: 'text',
};

/** https://learn.microsoft.com/entra/identity-platform/reference-error-codes; RFC 6749 section 5.2. */
const ERROR: Comparison = {
  error: 'text',
  error_description: 'text',
  error_codes: 'list',
  timestamp: 'text',
  trace_id: 'text',
  correlation_id: 'text',
  error_uri: 'text',
};
const CHALLENGE: Comparison = { ...ERROR, suberror: 'text', claims: 'text' };

/** https://learn.microsoft.com/entra/identity-platform/v2-oauth2-device-code; RFC 8628 section 3.2. */
const DEVICE: Comparison = {
  device_code: 'text',
  user_code: 'text',
  verification_uri: 'own address',
  expires_in: 'number',
  interval: 'number',
  message: 'text',
};

const SCOPE = 'https://database.windows.net/.default';
let entra: EntraEmulator;

beforeAll(async () => {
  entra = await startEntraEmulator();
});
afterAll(() => entra.close());

async function get(path: string): Promise<unknown> {
  return (await fetch(`${entra.url}/${entra.tenantId}/${path}`)).json();
}

async function post(path: string, form: Record<string, string>): Promise<unknown> {
  const init = { method: 'POST', body: new URLSearchParams({ client_id: entra.clientId, ...form }) };
  return (await fetch(`${entra.url}/${entra.tenantId}/${path}`, init)).json();
}

const asApp = () => ({ grant_type: 'client_credentials', client_secret: entra.clientSecret });
const asUser = (password = entra.user.password) => ({
  grant_type: 'password',
  username: entra.user.userName,
  password,
  client_info: '1',
});
const byUser = { token: ['refresh_token', 'id_token', 'client_info', 'scope'] };

describe.each<[string, Comparison, () => Promise<unknown>, readonly string[]]>([
  ['discovery, version 2', DISCOVERY, () => get('v2.0/.well-known/openid-configuration'), []],
  ['discovery, version 1', DISCOVERY, () => get('.well-known/openid-configuration'), []],
  ['a signing key', KEY, async () => ((await get('discovery/v2.0/keys')) as { keys: unknown[] }).keys[0], []],
  [
    'the token of an application',
    TOKEN_V2,
    () => post('oauth2/v2.0/token', { ...asApp(), scope: SCOPE }),
    byUser.token,
  ],
  [
    'the tokens of a user',
    TOKEN_V2,
    () => post('oauth2/v2.0/token', { ...asUser(), scope: `${SCOPE} openid offline_access` }),
    [],
  ],
  [
    'the token of an application, version 1',
    TOKEN_V1,
    () => post('oauth2/token', { ...asApp(), resource: 'https://database.windows.net' }),
    [],
  ],
  ['an error', ERROR, () => post('oauth2/v2.0/token', { ...asUser('wrong'), scope: SCOPE }), []],
  [
    'a claims challenge',
    CHALLENGE,
    async () => {
      const { userName: username, password } = entra.addUser({ mfaRequired: true });
      return post('oauth2/v2.0/token', { grant_type: 'password', username, password, scope: SCOPE });
    },
    [],
  ],
  ['a device code', DEVICE, () => post('oauth2/v2.0/devicecode', { scope: SCOPE }), []],
])('%s', (_, published, ask, notInThisAnswer) => {
  test('has exactly the published fields, with their types', async () => {
    const answer = (await ask()) as Record<string, unknown>;
    const expected = Object.entries(published).filter(
      ([name, kind]) => typeof kind === 'string' && !notInThisAnswer.includes(name),
    );
    expect(Object.keys(answer).sort()).toEqual(expected.map(([name]) => name).sort());
    for (const [name, kind] of expected) expect([name, kindOf(answer[name])]).toEqual([name, kind]);
  });
});

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'list';
  if (typeof value === 'string') return value.startsWith(entra.url) ? 'own address' : 'text';
  return typeof value;
}
