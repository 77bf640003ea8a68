import { expect, test } from 'vitest';
import { Program } from './programs.js';

const COMMAND = ['entra', '--listen', '0', '--client-id', 'app'];

async function statusOfToken({ url, tenant, client = '', secret = '' }: Record<string, string>): Promise<number> {
  const scope = 'https://database.windows.net/.default';
  const form = { grant_type: 'client_credentials', client_id: client, client_secret: secret, scope };
  const response = await fetch(`${url}/${tenant}/oauth2/v2.0/token`, {
    method: 'POST',
    body: new URLSearchParams(form),
  });
  return response.status;
}

test('with --faults, a test in another language sets and ends faults over HTTP, on the loopback', async () => {
  const ready = await new Program([...COMMAND, '--faults', '0']).said('ready');
  const faults = ready.faults ?? '';
  expect(faults).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/_faults$/);
  const headers = { 'content-type': 'application/json' };
  const body = '{"target":"entra","status":429,"retryAfter":7}';
  expect((await fetch(faults, { method: 'POST', headers, body })).status).toBe(200);
  expect(await statusOfToken(ready)).toBe(429);
  expect((await fetch(faults, { method: 'DELETE' })).status).toBe(200);
  expect(await statusOfToken(ready)).toBe(200);
});

test('without --faults, nothing listens for them', async () => {
  const ready = await new Program(COMMAND).said('ready');
  expect(ready.faults).toBeUndefined();
  expect((await fetch(`${ready.url}/_faults`, { method: 'DELETE' })).status).toBe(404);
  expect(await statusOfToken(ready)).toBe(200);
});
