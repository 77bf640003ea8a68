import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createCredential, InteractionRequiredError } from '../../../src/index.js';
import { type EntraEmulator, type EntraRequest, startEntraEmulator } from '../../../src/testing/index.js';
import { printed } from '../printed.js';

const SCOPE = 'https://database.windows.net/.default';
const CLAIMS = '{"access_token":{"nbf":{"essential":true,"value":"1767225600"}}}';
let entra: EntraEmulator;
let requests: EntraRequest[];

beforeEach(async () => {
  entra = await startEntraEmulator({ deviceCode: { intervalSeconds: 0.05 } });
  // Every request, also those for pages.
  requests = [];
  entra.fail({ delayMs: 0, when: (request) => requests.push(request) === 0 });
});
afterEach(() => entra.close());

function byCode() {
  return createCredential({
    method: 'device-code',
    tenantId: entra.tenantId,
    authority: entra.url,
    onCode: () => void entra.deviceSignIns.at(-1)?.approve(),
  });
}

function byBrowser() {
  const openBrowser = (url: string) => void entra.signIn(url);
  return createCredential({ method: 'interactive', tenantId: entra.tenantId, authority: entra.url, openBrowser });
}

/** The identity provider refuses to renew until the user has satisfied the claims. */
function demand(claims: unknown, error = 'insufficient_claims') {
  const body = { error, error_codes: [50132], error_description: 'AADSTS50132: The session has ended.', claims };
  return entra.fail({ status: 400, body: body as Record<string, unknown>, when: isRenewal });
}

const isRenewal = ({ grantType }: { grantType: string }) => grantType === 'refresh_token';

/** The claims that each request to this endpoint required of the access token; MSAL adds its own for the ID token. */
function claimsAt(endpoint: string) {
  return requests
    .filter((one) => one.endpoint === endpoint)
    .map(({ claims }) => {
      const { access_token } = JSON.parse(claims ?? '{}');
      return access_token === undefined ? undefined : JSON.stringify({ access_token });
    });
}

describe.each([
  ['device code', byCode, 'devicecode'],
  ['interactive', byBrowser, 'authorize'],
] as const)('%s sign-in', (_, credential, endpoint) => {
  test.each(['insufficient_claims', 'interaction_required', 'invalid_grant'])(
    'after %s passes the claims challenge on to the next sign-in, and only to that one',
    async (error) => {
      const person = credential();
      await person.getToken(SCOPE);
      const outage = demand(CLAIMS, error);
      await expect(person.getToken(SCOPE)).rejects.toMatchObject({
        code: 'ERR_INTERACTION_REQUIRED',
        claims: CLAIMS,
        hint: expect.stringContaining('signIn()'),
      });
      outage.heal();
      await person.signIn();
      await person.signIn();
      expect(claimsAt(endpoint)).toEqual([undefined, CLAIMS, undefined]);
      expect((await person.getToken(SCOPE))?.token).toBeTruthy();
    },
  );

  test("signs in with the caller's claims if the caller has its own challenge", async () => {
    const person = credential();
    await person.getToken(SCOPE);
    const outage = demand(CLAIMS);
    await expect(person.getToken(SCOPE)).rejects.toThrow(InteractionRequiredError);
    outage.heal();
    const own = '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}';
    await person.signIn({ claims: own });
    expect(claimsAt(endpoint)).toContain(own);
    expect(claimsAt(endpoint)).not.toContain(CLAIMS);
  });
});

test.each([
  ['a number', 7],
  ['a list', [CLAIMS]],
  ['an object', { access_token: {} }],
  ['text that is not JSON', 'Bearer x'],
  ['JSON that is not an object', '"x"'],
  ['longer than any challenge', JSON.stringify({ access_token: ' '.repeat(10_000) })],
  ['null', null],
])('a challenge that is %s is not passed on', async (_, claims) => {
  const person = byCode();
  await person.getToken(SCOPE);
  const outage = demand(claims);
  const error = await person.getToken(SCOPE).catch((e: unknown) => e);
  expect(error).toMatchObject({ code: 'ERR_INTERACTION_REQUIRED' });
  expect(error).not.toHaveProperty('claims');
  outage.heal();
  await person.signIn();
  expect(claimsAt('devicecode').every((one) => one === undefined)).toBe(true);
});

test('a challenge that repeats a secret is not passed on or printed', async () => {
  const person = byCode();
  const { token } = (await person.getToken(SCOPE)) ?? { token: '' };
  demand(JSON.stringify({ access_token: { leaked: { value: token } } }));
  const error = await person.getToken(SCOPE).catch((e: unknown) => e);
  expect(error).toMatchObject({ code: 'ERR_INTERACTION_REQUIRED' });
  expect(printed(error, person)).not.toContain(token);
});
