import { request as httpRequest } from 'node:http';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { createCredential, type InteractiveOptions, TokenCache } from '../../../src/index.js';
import { type EntraEmulator, type SignInResult, startEntraEmulator } from '../../../src/testing/index.js';

const SCOPE = 'https://database.windows.net/.default';
let entra: EntraEmulator;

beforeAll(async () => {
  entra = await startEntraEmulator();
});
afterEach(() => entra.heal());
afterAll(() => entra.close());

function credential(openBrowser: (url: string) => unknown, changes: Partial<InteractiveOptions> = {}) {
  const { tenantId, url: authority } = entra;
  return createCredential({ method: 'interactive', tenantId, authority, openBrowser, ...changes });
}

function redirectOf(url: string): URL {
  return new URL(new URL(url).searchParams.get('redirect_uri') ?? '');
}

test('signs the user in with the browser, once for all callers', async () => {
  const opened: string[] = [];
  let shown: Promise<SignInResult> | undefined;
  const person = credential((url) => {
    opened.push(url);
    shown = entra.signIn(url);
  });
  const tokens = new TokenCache(person);
  const held = await Promise.all(Array.from({ length: 50 }, () => tokens.get()));
  expect(entra.verify(held[0]?.reveal() ?? '')).toMatchObject({ upn: entra.user.userName });
  const page = await shown;
  expect(page).toMatchObject({ status: 200, body: expect.stringContaining('You are signed in.') });
  expect(opened).toHaveLength(1);
  const asked = new URL(opened[0] ?? '').searchParams;
  expect(Object.fromEntries(asked)).toMatchObject({
    response_mode: 'form_post',
    code_challenge_method: 'S256',
    state: expect.stringMatching(/^[\w-]{43}$/),
    nonce: expect.any(String),
  });
  expect(person.principal).toMatchObject({ method: 'interactive', id: entra.user.userName });
  // The next request does not prompt.
  await person.getToken(SCOPE);
  expect(opened).toHaveLength(1);
  await expect(fetch(redirectOf(opened[0] ?? ''))).rejects.toThrow();
});

test('"cancel" on the page is reported, without another prompt', async () => {
  let opened = 0;
  let shown: Promise<SignInResult> | undefined;
  const person = credential((url) => {
    opened += 1;
    shown = entra.signIn(url, 'cancel');
  });
  await expect(person.getToken(SCOPE)).rejects.toMatchObject({
    code: 'ERR_INTERACTION_REQUIRED',
    message: expect.stringContaining('cancelled'),
  });
  expect((await shown)?.body).toContain('You cancelled the sign-in.');
  await expect(person.getToken(SCOPE)).rejects.toMatchObject({ code: 'ERR_INTERACTION_REQUIRED' });
  expect(opened).toBe(1);
});

test('an answer with a wrong state, path or size is ignored, on 127.0.0.1 and ::1', async () => {
  const seen: (number | string)[] = [];
  const person = credential(async (url) => {
    const { port } = redirectOf(url);
    for (const host of ['127.0.0.1', '::1']) {
      seen.push(await post(host, port, '/', 'code=stolen&state=guessed'));
      seen.push(await post(host, port, '/', 'code=stolen'));
      seen.push(await post(host, port, '/favicon.ico', ''));
      seen.push(await post(host, port, '/', 'x'.repeat(100_000)));
    }
    await entra.signIn(url);
  });
  expect((await person.getToken(SCOPE))?.token).toBeTruthy();
  expect(seen).toEqual([400, 400, 404, 'closed', 400, 400, 404, 'closed']);
});

test('external input is shown as text, never as HTML', async () => {
  const person = credential(async (url) => {
    const state = new URL(url).searchParams.get('state') ?? '';
    const form = new URLSearchParams({ state, error: 'server_error', error_description: '<script>alert(1)</script>' });
    const response = await fetch(`http://127.0.0.1:${redirectOf(url).port}/`, { method: 'POST', body: form });
    const page = await response.text();
    expect(page).toContain('&lt;script&gt;');
    expect(page).not.toContain('<script>');
    expect(response.headers.get('content-security-policy')).toContain("default-src 'none'");
  });
  await expect(person.getToken(SCOPE)).rejects.toMatchObject({ code: 'ERR_TOKEN_UNAVAILABLE' });
});

test('the wait for the user ends after signInTimeoutMs', async () => {
  const person = credential(() => {}, { signInTimeoutMs: 100 });
  await expect(person.getToken(SCOPE)).rejects.toMatchObject({
    code: 'ERR_INTERACTION_REQUIRED',
    message: expect.stringContaining('No one signed in within'),
  });
});

test('waits without a limit if signInTimeoutMs is Infinity', async () => {
  const person = credential((url) => void setTimeout(() => void entra.signIn(url, entra.user), 100), {
    signInTimeoutMs: Number.POSITIVE_INFINITY,
  });
  expect((await person.getToken(SCOPE))?.token).toBeTruthy();
});

test('a caller can cancel it', async () => {
  const abort = new AbortController();
  const waiting = credential(() => abort.abort()).getToken(SCOPE, { abortSignal: abort.signal });
  await expect(waiting).rejects.toMatchObject({ code: 'ERR_ABORTED' });
});

test('on a machine without a browser, the error names the alternative', async () => {
  const person = credential(() => {
    throw new Error('spawn xdg-open ENOENT');
  });
  await expect(person.getToken(SCOPE)).rejects.toMatchObject({
    code: 'ERR_INTERACTION_REQUIRED',
    hint: expect.stringContaining('device-code'),
  });
});

test('the error names a fixed port that is taken', async () => {
  const { port } = new URL(entra.url);
  const person = credential(() => {}, { port: Number(port) });
  await expect(person.getToken(SCOPE)).rejects.toThrow(/EADDRINUSE/);
});

/** The status, or `closed` if the connection was cut. */
function post(host: string, port: string, path: string, body: string): Promise<number | string> {
  return new Promise((resolve) => {
    const sent = httpRequest({ host, port, path, method: 'POST', agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    sent.on('error', () => resolve('closed'));
    sent.end(body);
  });
}
