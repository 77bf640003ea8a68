import { request as httpRequest } from 'node:http';
import { describe, expect, test } from 'vitest';
import { startEntraEmulator, startFaultControl, startSqlEmulator } from '../../src/testing/index.js';
import { closing, execute, refusedLogin, tediousConnect } from './sql-clients.js';

async function site() {
  const entra = closing(await startEntraEmulator());
  const server = closing(await startSqlEmulator());
  const { url } = closing(await startFaultControl({ entra, server }));
  const post = async (body: unknown, headers: Record<string, string> = { 'content-type': 'application/json' }) => {
    const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };
  return { entra, server, url, post };
}

describe('over HTTP', () => {
  test('the identity provider is throttled, and recovers', async () => {
    const { entra, url, post } = await site();
    expect((await post({ target: 'entra', status: 429, retryAfter: 7 })).status).toBe(200);
    const ask = () => entra.credential().getToken('https://database.windows.net/.default');
    await expect(ask()).rejects.toMatchObject({ statusCode: 429 });
    await fetch(url, { method: 'DELETE' });
    expect((await ask()).token).toContain('.');
  });

  test('logins fail, connections are cut and the server pauses', async () => {
    const { server, url, post } = await site();
    await post({ target: 'sql', number: 40613, count: 1 });
    expect((await refusedLogin(server.config() as never)).errors).toMatchObject([{ number: 40613 }]);
    const { connection } = await tediousConnect(server.config() as never);
    await post({ target: 'sql', action: 'pause' });
    const rows = execute(connection, 'SELECT 1');
    await fetch(url, { method: 'DELETE' });
    expect(await rows).toEqual([[1]]);
    expect((await post({ target: 'sql', action: 'drop-connections' })).body).toEqual({ dropped: 1 });
    await expect.poll(() => connection.closed).toBe(true);
  });

  test('the token lifetime changes', async () => {
    const { entra, post } = await site();
    await post({ target: 'entra', tokenLifetimeSeconds: 5 });
    const { expiresOnTimestamp } = await entra.credential().getToken('https://database.windows.net/.default');
    expect(expiresOnTimestamp - Date.now()).toBeLessThanOrEqual(5000);
  });

  test.each([
    [{ target: 'moon' }, 400, /target/],
    [null, 400, /target/],
    [{ target: 'sql', action: 'explode' }, 400, /action/],
    [{ target: 'sql' }, 400, /number/],
    [{ target: 'entra' }, 400, /fault needs/],
    [{ target: 'entra', tokenLifetimeSeconds: 'long' }, 400, /tokenLifetimeSeconds/],
    [{ target: 'entra', tokenLifetimeSeconds: 60, status: 503 }, 400, /'status' cannot be combined/],
    [{ target: 'sql', action: 'pause', number: 5 }, 400, /'number' cannot be combined/],
    [{ target: 'entra', hang: 'yes' }, 400, /'hang' must be true or false/],
    [{ target: 'entra', delayMs: '5' }, 400, /'delayMs' must be a number/],
  ])('%j is refused with the reason', async (body, status, error) => {
    const { post } = await site();
    expect(await post(body)).toEqual({ status, body: { error: expect.stringMatching(error) } });
  });
});

test('a request after one whose body was too large is answered', async () => {
  const { post } = await site();
  for (let i = 0; i < 3; i += 1) {
    await post({ target: 'sql', number: 40613, message: 'x'.repeat(3_000_000) }).catch(() => {});
    expect((await post({ target: 'sql', number: 40613 })).status).toBe(200);
  }
});

describe('a web page cannot set faults', () => {
  test('with a form, which is not JSON', async () => {
    const { entra, post } = await site();
    expect((await post({ target: 'entra', status: 503 }, { 'content-type': 'text/plain' })).status).toBe(415);
    await entra.credential().getToken('https://database.windows.net/.default');
  });

  test('under its own host name that resolves to the loopback', async () => {
    const { url } = await site();
    const status = await new Promise((resolve, reject) => {
      const sent = httpRequest(url, { method: 'DELETE', headers: { Host: 'attacker.example' } }, (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      sent.on('error', reject).end();
    });
    expect(status).toBe(403);
  });
});
