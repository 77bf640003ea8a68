import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import {
  type AgentIdentityOptions,
  createCredential,
  createTokenPool,
  type TokenPoolConfig,
} from '../../../src/index.js';
import {
  type AppRegistration,
  type EntraEmulator,
  makeCertificate,
  type SqlEmulator,
  startEntraEmulator,
  startSqlEmulator,
} from '../../../src/testing/index.js';
import { query } from '../../support/query.js';
import { printed } from '../printed.js';

const SCOPE = 'https://database.windows.net/.default';
const SUBJECT = 'system:serviceaccount:shop:agents';
const certificate = makeCertificate({ commonName: 'blueprint', keyType: 'rsa' });

let entra: EntraEmulator;
let sql: SqlEmulator;
let blueprint: AppRegistration;
let agent: AppRegistration;

beforeAll(async () => {
  entra = await startEntraEmulator();
  sql = await startSqlEmulator({ entra });
  blueprint = entra.addApp({ certificates: [certificate.cert], federatedCredentials: [{ subject: SUBJECT }] });
  agent = entra.addApp({ blueprintClientId: blueprint.clientId });
});
afterEach(() => {
  entra.heal();
  vi.unstubAllEnvs();
});
afterAll(async () => {
  await sql.close();
  await entra.close();
});

/** Overrides of a test; undefined removes an option. */
type Changes = { [Key in keyof AgentIdentityOptions]?: AgentIdentityOptions[Key] | undefined };

function options(changes: Changes = {}): AgentIdentityOptions {
  const { tenantId, url: authority } = entra;
  const { clientId, clientSecret } = blueprint;
  return { tenantId, authority, clientId, clientSecret, agentId: agent.clientId, ...changes } as AgentIdentityOptions;
}

async function principalAtServer(authentication: AgentIdentityOptions): Promise<unknown> {
  const { server, port, options: connection } = sql.config();
  const config = { server, port, options: connection, database: 'shop', authentication } as TokenPoolConfig;
  const pool = createTokenPool(config);
  try {
    return (await pool.use((connection) => query(connection, 'SELECT SUSER_SNAME()')))[0]?.[0];
  } finally {
    await pool.close();
  }
}

const proofs: [string, () => Changes][] = [
  ['a client secret', () => ({})],
  ['a certificate', () => ({ clientSecret: undefined, certificate: certificate.key + certificate.cert })],
  ['an assertion', () => ({ clientSecret: undefined, assertion: entra.issueFederatedToken({ subject: SUBJECT }) })],
  [
    'the token of another issuer',
    () => {
      vi.stubEnv('WORKLOAD_TOKEN', entra.issueFederatedToken({ subject: SUBJECT }));
      return { clientSecret: undefined, from: { variable: 'WORKLOAD_TOKEN' } };
    },
  ],
];

describe.each(proofs)('a blueprint with %s', (_, proof) => {
  test('logs its agent in to SQL Server under the agent identity', async () => {
    expect(await principalAtServer(options(proof()))).toBe(agent.clientId);
  });

  test("logs the agent's user account in", async () => {
    const user = entra.addUser({ agentClientId: agent.clientId });
    expect(await principalAtServer(options({ ...proof(), agentUserName: user.userName }))).toBe(user.userName);
  });
});

test('shows the agent as the principal, and needs two requests per token, three for its user account', async () => {
  const credential = createCredential(options());
  expect(credential.principal).toMatchObject({
    method: 'agent-identity',
    id: agent.clientId,
    tenantId: entra.tenantId,
  });
  const before = entra.requests.length;
  await credential.getToken(SCOPE);
  expect(entra.requests.slice(before).map(({ clientId }) => clientId)).toEqual([blueprint.clientId, agent.clientId]);
  const user = entra.addUser({ agentClientId: agent.clientId });
  await createCredential(options({ agentUserName: user.userName })).getToken(SCOPE);
  expect(entra.requests.slice(before + 2).map(({ grantType }) => grantType)).toEqual([
    'client_credentials',
    'client_credentials',
    'user_fic',
  ]);
});

describe('is refused', () => {
  test.each<[string, () => Changes, number]>([
    ['with a wrong secret', () => ({ clientSecret: 'wrong-but-secret' }), 7000215],
    [
      'for the agent of another blueprint',
      () => ({ agentId: entra.addApp({ blueprintClientId: 'x' }).clientId }),
      700213,
    ],
    ['for an application that is no agent identity', () => ({ agentId: entra.addApp().clientId }), 700213],
    ['for an unknown agent', () => ({ agentId: '00000000-0000-4000-8000-000000000000' }), 700016],
    ["for another agent's user account", () => ({ agentUserName: entra.addUser().userName }), 700213],
    ['for an unknown user account', () => ({ agentUserName: 'unknown@emulator.example' }), 50034],
  ])('%s, with the number of the refusal and no secret', async (_, changes, aadsts) => {
    const credential = createCredential(options(changes()));
    const error = await credential.getToken(SCOPE).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'ERR_CREDENTIAL_REJECTED', aadsts });
    const text = printed(error, credential);
    expect(text).not.toContain('wrong-but-secret');
    expect(text).not.toContain(blueprint.clientSecret);
    expect(text).not.toMatch(/eyJ[\w-]{20}/);
  });
});

test('two agents of one blueprint are two identities; equal options are one', async () => {
  const other = entra.addApp({ blueprintClientId: blueprint.clientId });
  const pools = [agent, other].map(({ clientId: agentId }) => principalAtServer(options({ agentId })));
  expect(await Promise.all(pools)).toEqual([agent.clientId, other.clientId]);
});

test.each<[string, Changes, RegExp]>([
  ['no proof', { clientSecret: undefined }, /Set one of 'clientSecret'/],
  ['two proofs', { assertion: 'x.y.z' }, /Set one of 'clientSecret'/],
  ['two proofs, one of another issuer', { from: 'aws' }, /Set one of 'from'/],
  ['an agent that is no id', { agentId: 'the agent' }, /'agentId' must be/],
])('%s is a configuration error', (_, changes, message) => {
  expect(() => createCredential(options(changes))).toThrow(message);
});

test.each([
  ['without proof', {}, 7000218],
  ["with the blueprint's token for itself", { fmiPath: false }, 700213],
  ['with the exchange token of another agent', { other: true }, 700213],
] as const)('the emulator gives an agent identity no token %s', async (_, { fmiPath, other }: Trial, aadsts) => {
  const assertion = fmiPath === undefined && other === undefined ? undefined : await exchangeToken({ fmiPath, other });
  const { status, numbers } = await post({ client_id: agent.clientId, scope: SCOPE, ...asAssertion(assertion) });
  expect([status, numbers]).toEqual([401, [aadsts]]);
});

interface Trial {
  fmiPath?: boolean | undefined;
  other?: boolean | undefined;
}

async function exchangeToken({ fmiPath = true, other = false }: Trial): Promise<string> {
  const target = other ? entra.addApp({ blueprintClientId: blueprint.clientId }) : agent;
  const { token } = await post({
    client_id: blueprint.clientId,
    client_secret: blueprint.clientSecret ?? '',
    scope: 'api://AzureADTokenExchange/.default',
    ...(fmiPath ? { fmi_path: target.clientId } : {}),
  });
  return token ?? '';
}

function asAssertion(jwt: string | undefined): Record<string, string> {
  if (jwt === undefined) return {};
  const type = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
  return { client_assertion: jwt, client_assertion_type: type };
}

async function post(form: Record<string, string>) {
  const response = await fetch(`${entra.url}/${entra.tenantId}/oauth2/v2.0/token`, {
    method: 'POST',
    body: new URLSearchParams({ grant_type: 'client_credentials', ...form }),
  });
  const body = (await response.json()) as { access_token?: string; error_codes?: number[] };
  return { status: response.status, numbers: body.error_codes, token: body.access_token };
}
