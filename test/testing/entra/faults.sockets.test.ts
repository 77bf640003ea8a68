import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { expect, test } from 'vitest';
import { type EntraEmulator, startEntraEmulator } from '../../../src/testing/index.js';

const SCOPE = 'https://database.windows.net/.default';
const ask = (entra: EntraEmulator, options?: { abortSignal?: AbortSignal }) =>
  entra.credential().getToken(SCOPE, options);

test('an outage lasts until it is healed', async () => {
  await using entra = await startEntraEmulator();
  const outage = entra.fail({ status: 503 });
  await expect(ask(entra)).rejects.toMatchObject({ status: 503, aadsts: 90033, errorCode: 'temporarily_unavailable' });
  await expect(ask(entra)).rejects.toMatchObject({ status: 503 });
  expect(outage.hits).toBe(2);
  entra.heal();
  await ask(entra);
  expect(entra.requests.map((request) => request.status)).toEqual([503, 503, 200]);
});

test('a counted fault ends by itself, and one fault can be healed without the others', async () => {
  await using entra = await startEntraEmulator();
  entra.fail({ status: 500, count: 1 });
  const throttled = entra.fail({ status: 429 });
  await expect(ask(entra)).rejects.toMatchObject({ status: 500 });
  await expect(ask(entra)).rejects.toMatchObject({ status: 429, aadsts: 90055 });
  throttled.heal();
  await ask(entra);
});

test('Retry-After can be seconds, a date or any text', async () => {
  await using entra = await startEntraEmulator();
  const header = async (retryAfter: number | Date | string) => {
    entra.fail({ status: 429, retryAfter, count: 1 });
    const response = await fetch(`${entra.url}/${entra.tenantId}/oauth2/v2.0/token`, { method: 'POST' });
    await response.body?.cancel();
    return response.headers.get('retry-after');
  };
  expect(await header(7)).toBe('7');
  expect(await header(new Date('2030-01-02T03:04:05Z'))).toBe('Wed, 02 Jan 2030 03:04:05 GMT');
  expect(await header('soon')).toBe('soon');
  entra.fail({ status: 429, retryAfter: 7 });
  await expect(ask(entra)).rejects.toMatchObject({ retryAfterMs: 7000 });
});

test("a body replaces the service's JSON", async () => {
  await using entra = await startEntraEmulator();
  entra.fail({ status: 502, body: '<h1>Bad gateway</h1>', count: 1 });
  await expect(ask(entra)).rejects.toMatchObject({
    status: 502,
    message: 'The emulator answered 502 without an explanation',
  });
  entra.fail({ status: 200, body: { token_type: 'Bearer', expires_in: 60, access_token: 'opaque' }, count: 1 });
  const before = Date.now();
  const { token, expiresOnTimestamp } = await ask(entra);
  expect(token).toBe('opaque');
  expect(expiresOnTimestamp - before).toBeGreaterThanOrEqual(60_000);
});

test('a hang lasts until the client gives up, and does not stop close()', async () => {
  const entra = await startEntraEmulator();
  entra.fail({ hang: true });
  const giveUp = new AbortController();
  const given = expect(ask(entra, { abortSignal: giveUp.signal })).rejects.toMatchObject({ name: 'AbortError' });
  const stubborn = expect(ask(entra)).rejects.toMatchObject({ status: undefined });
  await expect.poll(() => entra.requests.length).toBe(2);
  giveUp.abort();
  await given;
  await expect(ask(entra, { abortSignal: giveUp.signal })).rejects.toMatchObject({ name: 'AbortError' });
  await entra.close();
  await stubborn;
  expect(entra.requests.map((request) => request.status)).toEqual([undefined, undefined]);
});

test('a reset closes the connection without an answer', async () => {
  await using entra = await startEntraEmulator();
  entra.fail({ reset: true, count: 1 });
  await expect(ask(entra)).rejects.toMatchObject({ cause: { code: 'ECONNRESET' } });
  await ask(entra);
});

test('under TLS, the connection also ends without an answer', async () => {
  await using entra = await startEntraEmulator({ https: true });
  entra.fail({ reset: true, count: 1 });
  await expect(ask(entra)).rejects.toMatchObject({ cause: { code: 'ECONNRESET' } });
  await ask(entra);
});

test('a delay alone makes a correct answer late', async () => {
  await using entra = await startEntraEmulator();
  entra.fail({ delayMs: 50 });
  const before = performance.now();
  const { token } = await ask(entra);
  expect(performance.now() - before).toBeGreaterThanOrEqual(49);
  expect(entra.verify(token).error).toBeUndefined();
});

test('`when` selects the requests, including discovery', async () => {
  await using entra = await startEntraEmulator();
  const other = entra.addApp();
  entra.fail({ status: 503, when: (request) => request.clientId === other.clientId });
  await ask(entra);
  await expect(entra.credential(other).getToken(SCOPE)).rejects.toMatchObject({ status: 503 });
  const discovery = `${entra.url}/${entra.tenantId}/v2.0/.well-known/openid-configuration`;
  expect((await fetch(discovery)).status).toBe(200);
  entra.fail({ status: 500, when: (request) => request.endpoint === 'discovery' });
  expect((await fetch(discovery)).status).toBe(500);
});

test('a fault without effect, or with an impossible value, is rejected at once', async () => {
  await using entra = await startEntraEmulator();
  expect(() => entra.fail({ count: 1 })).toThrow(/needs one of status, aadsts, body, hang, reset or delayMs/);
  expect(() => entra.fail({ status: 42 })).toThrow(/status is 42/);
  expect(() => entra.fail({ status: 503, count: 0 })).toThrow(/count is 0/);
  expect(() => entra.fail({ delayMs: -1 })).toThrow(/delayMs is -1/);
  expect(() => entra.fail({ aadsts: 1 as never })).toThrow(/aadsts must be one of/);
  expect(() => entra.fail({ status: 429, retryAfter: 'x\r\nEvil: 1' })).toThrow(/not allowed in HTTP/);
  expect(() => entra.fail({ status: 503, headers: { 'bad name': 'x' } })).toThrow(/not allowed in HTTP/);
});

test('a refusal can be selected by its AADSTS number', async () => {
  await using entra = await startEntraEmulator();
  entra.fail({ aadsts: 53003, count: 1 });
  await expect(ask(entra)).rejects.toMatchObject({ status: 400, aadsts: 53003, errorCode: 'invalid_grant' });
  entra.fail({ aadsts: 7000215, status: 400, retryAfter: 3, count: 1 });
  await expect(ask(entra)).rejects.toMatchObject({ status: 400, aadsts: 7000215, retryAfterMs: 3000 });
  expect(entra.requests.map((request) => request.aadsts)).toEqual([53003, 7000215]);
});

test.each(['//', '///', '//[', '/%', '*', 'http://'])(
  'a request for %j is unknown, not a failure of the emulator',
  async (path) => {
    await using entra = await startEntraEmulator();
    const sent = request(entra.url, { path }).end();
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    response.resume();
    expect(response.statusCode).toBe(404);
  },
);
