// Tests the handler across a token expiry, without the Functions host, Azure or Docker.
const assert = require('node:assert/strict');
const { after, before, test } = require('node:test');
const { setTimeout: sleep } = require('node:timers/promises');
const { HttpRequest, InvocationContext } = require('@azure/functions');
const { startEntraEmulator, startSqlEmulator } = require('mssql-token-pool/testing');
const { orders } = require('../src/functions/orders.js');

let entra;
let server;

before(async () => {
  entra = await startEntraEmulator({ tokenLifetimeSeconds: 6 });
  server = await startSqlEmulator({ entra, enforceExpiry: 'login', onQuery: () => [{ id: 1, item: 'coffee' }] });
  Object.assign(process.env, {
    AZURE_AUTHORITY_HOST: entra.url,
    AZURE_TENANT_ID: entra.tenantId,
    AZURE_CLIENT_ID: entra.clientId,
    AZURE_CLIENT_SECRET: entra.clientSecret,
    SQL_CONNECTION_STRING: `Server=localhost,${server.port};Authentication=Active Directory Default;Encrypt=True;TrustServerCertificate=True`,
  });
});
after(async () => {
  await server.close();
  await entra.close();
});

const call = (query) =>
  orders(new HttpRequest({ method: 'GET', url: 'http://localhost/api/orders', query }), new InvocationContext());

test('answers while a token expires', async () => {
  const tokens = () => new Set(server.logins.map(({ tokenExpiry }) => tokenExpiry)).size;
  while (tokens() < 2) {
    assert.deepEqual(await call({ customer: '7' }), { jsonBody: [{ id: 1, item: 'coffee' }] });
    await sleep(50);
  }
});

test('refuses a customer that is not a number', async () => {
  assert.equal((await call({ customer: 'x' })).status, 400);
});
