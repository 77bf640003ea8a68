import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { startSqlEmulator } from '../../src/testing/index.js';
import { unusedPort } from '../support/unused-port.js';
import { closing, execute, tediousConnect } from '../testing/sql-clients.js';
import { Program } from './programs.js';

interface Service {
  command: string[];
  environment: Record<string, string>;
  ports: string[];
  healthcheck: { test: string[] };
}

const text = readFileSync(new URL('../../docker-compose.yml', import.meta.url), 'utf8');
// The defaults of the file, with no variable set.
const { services } = parse(text.replace(/\$\{\w+:-([^}]*)\}/g, '$1')) as { services: Record<string, Service> };

/** Starts a service as a process, with other addresses in place of those that only a network of containers has. */
function start(name: string, addresses: Record<string, string>): Program {
  const { command, environment } = services[name] as Service;
  return new Program(elsewhere(command, addresses), environment);
}

function elsewhere(words: string[], addresses: Record<string, string>): string[] {
  return words.map((word) => Object.entries(addresses).reduce((now, [from, to]) => now.replace(from, to), word));
}

/** The health check of a service, as Docker runs it. */
async function isHealthy(name: string, addresses: Record<string, string>): Promise<boolean> {
  const [kind, node, ...args] = elsewhere((services[name] as Service).healthcheck.test, addresses);
  expect([kind, node]).toEqual(['CMD', 'node']);
  return promisify(execFile)(process.execPath, args).then(
    () => true,
    () => false,
  );
}

test('the programs of docker-compose.yml start, become healthy and accept a token, without Docker', async () => {
  const { entra: entraService, gateway: gatewayService, sqlserver } = services;
  const sa = sqlserver?.environment.MSSQL_SA_PASSWORD ?? '';
  const server = closing(await startSqlEmulator({ users: { sa } }));

  const issuerAt = `127.0.0.1:${await unusedPort()}`;
  const entra = start('entra', { '0.0.0.0:8080': issuerAt });
  await entra.said('ready');
  expect(await isHealthy('entra', { 'localhost:8080': issuerAt })).toBe(true);
  const gateway = start('gateway', {
    '0.0.0.0:1433': '127.0.0.1:0',
    sqlserver: `127.0.0.1:${server.port}`,
    'entra:8080': issuerAt,
  });
  const { listen = '' } = await gateway.said('ready');
  const port = listen.split(':').at(-1) as string;
  expect(await isHealthy('gateway', { '1433': port })).toBe(true);

  const { command } = entraService as Service;
  const option = (name: string): string => command[command.indexOf(name) + 1] as string;
  const response = await fetch(`http://${issuerAt}/${option('--tenant-id')}/oauth2/v2.0/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: option('--client-id'),
      client_secret: entraService?.environment[option('--client-secret-env')] ?? '',
      scope: 'https://database.windows.net/.default',
    }),
  });
  const { access_token: token } = (await response.json()) as { access_token: string };
  const { connection } = await tediousConnect({
    server: 'localhost',
    port: Number(port),
    authentication: { type: 'azure-active-directory-access-token', options: { token } },
    options: { encrypt: true, trustServerCertificate: true },
  });
  expect(await execute(connection, 'SELECT SUSER_SNAME()')).toEqual([['sa']]);
  // What the rest of the file must say for that to hold in containers.
  expect(option('--url')).toBe(`http://localhost:${entraService?.ports[0]?.split(':')[1]}`);
  expect(gatewayService?.ports).toEqual(['127.0.0.1:11434:1433']);

  connection.close();
  expect(await gateway.stop()).toBe(0);
  expect(await entra.stop()).toBe(0);
  expect(await isHealthy('entra', { 'localhost:8080': issuerAt })).toBe(false);
  expect(await isHealthy('gateway', { '1433': port })).toBe(false);
});
