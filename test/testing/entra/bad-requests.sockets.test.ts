import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { startEntraEmulator, startFaultControl } from '../../../src/testing/index.js';

/** Sends a request target as it is; `fetch` would correct it. */
async function send(url: string, path: string, method = 'GET'): Promise<{ status: number | undefined; body: string }> {
  const { hostname, port } = new URL(url);
  const sent = request({ hostname, port, path, method, agent: false });
  sent.end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  return { status: response.statusCode, body: await text(response) };
}

test.each(['//', '///', '//a:b:c', 'http://[', 'http://h:99999/', '*', '/%/oauth2/v2.0/token', '/%ff/discovery/keys'])(
  'the request target %s is refused as unknown',
  async (target) => {
    await using entra = await startEntraEmulator();
    await using faults = await startFaultControl({ entra });
    for (const url of [entra.url, entra.managedIdentity.imds.url, faults.url]) {
      expect((await send(url, target)).status).toBeGreaterThanOrEqual(400);
      expect((await send(url, target)).status).toBeLessThan(500);
    }
  },
);

test.each(['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])('the token endpoint refuses a %s request', async (method) => {
  await using entra = await startEntraEmulator();
  for (const path of ['oauth2/v2.0/token', 'oauth2/token', 'oauth2/v2.0/devicecode']) {
    const { status, body } = await send(entra.url, `/${entra.tenantId}/${path}?grant_type=client_credentials`, method);
    expect([status, JSON.parse(body)]).toMatchObject([400, { error: 'invalid_request', error_codes: [900561] }]);
  }
});
