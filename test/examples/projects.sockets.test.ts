import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { parse } from 'yaml';
import { startEntraEmulator, startSqlEmulator } from '../../src/testing/index.js';
import { closedAfterwards, freePort, projectOf, runIn, start } from './project.js';

// They mostly wait for tokens to expire.
test.concurrent.each(['azure-functions', 'vitest'])('the tests of examples/%s pass', async (name) => {
  expect(await runIn(await projectOf(name), 'npm test')).toMatch(/[#ℹ] pass 2\b|2 passed/);
});

test.concurrent('the function of examples/azure-functions answers through the programming model while a token expires', async () => {
  const folder = await projectOf('azure-functions');
  const entra = closedAfterwards(await startEntraEmulator({ tokenLifetimeSeconds: 6 }));
  const onQuery = (_sql: string, { customer }: Record<string, unknown>) => [{ id: customer, item: 'coffee' }];
  const server = closedAfterwards(await startSqlEmulator({ entra, enforceExpiry: 'login', onQuery }));
  await writeFile(join(folder, 'ca.pem'), server.ca);
  const host = start(folder, [join(import.meta.dirname, 'functions-host.mjs'), folder], {
    NODE_EXTRA_CA_CERTS: join(folder, 'ca.pem'),
    AZURE_AUTHORITY_HOST: entra.url,
    AZURE_TENANT_ID: entra.tenantId,
    AZURE_CLIENT_ID: entra.clientId,
    AZURE_CLIENT_SECRET: entra.clientSecret,
    SQL_CONNECTION_STRING: `Server=localhost,${server.port};Authentication=Active Directory Default;Encrypt=True`,
  });
  const [, port] = /^ready (\d+)$/.exec((await host.lines.next()).value) ?? [];
  const url = `http://127.0.0.1:${port}/api/orders`;

  const tokens = () => new Set(server.logins.map(({ tokenExpiry }) => tokenExpiry)).size;
  while (tokens() < 2) {
    const response = await fetch(`${url}?customer=7`);
    expect([response.status, await response.json()]).toEqual([200, [{ id: 7, item: 'coffee' }]]);
  }
  expect((await fetch(`${url}?customer=x`)).status).toBe(400);

  host.child.kill('SIGTERM');
  expect((await host.lines.next()).value).toBe('terminated');
  await vi.waitFor(() => expect(server.sessions).toHaveLength(0), 10_000);
});

interface Workflow {
  jobs: {
    test: {
      services: { sqlserver: { env: { MSSQL_SA_PASSWORD: string }; ports: string[] } };
      env: Record<string, string>;
      steps: { run?: string }[];
    };
  };
}

test.concurrent('what the GitHub workflow of examples/real-sql-server runs passes, without Docker', async () => {
  const folder = await projectOf('real-sql-server');
  const text = await readFile(join(folder, '.github/workflows/test.yml'), 'utf8');
  const { services, env, steps } = (parse(text) as Workflow).jobs.test;
  const password = services.sqlserver.env.MSSQL_SA_PASSWORD;
  const server = closedAfterwards(await startSqlEmulator({ users: { sa: password } }));
  expect(services.sqlserver.ports).toEqual(['1433:1433']);
  const [entra, gateway] = [await freePort(), await freePort()];
  // The ports of a runner, which a machine with other servers does not have to itself.
  const elsewhere = (words: string) =>
    words
      .replaceAll('localhost:1433', `localhost:${server.port}`)
      .replaceAll('localhost:8080', `localhost:${entra}`)
      .replaceAll('--listen 8080', `--listen ${entra}`)
      .replaceAll('--listen 1434', `--listen ${gateway}`)
      .replaceAll('localhost,1434', `localhost,${gateway}`);

  const variables = Object.fromEntries(Object.entries(env).map(([name, value]) => [name, elsewhere(value)]));
  // Shorter than in the workflow, so that the test is.
  Object.assign(variables, { TOKEN_LIFETIME_SECONDS: '6' });
  let output = '';
  for (const { run } of steps) {
    if (run === undefined || run === 'npm ci') continue;
    output += await runIn(folder, `${elsewhere(run).trim()} || { cat *.log; false; }`, variables);
  }
  expect(output).toMatch(/[#ℹ] pass 1\b/);
  expect(output).toMatch(/login/);
  // Passed on to SQL Server as the login of the gateway, on several tokens.
  expect(server.logins.length).toBeGreaterThan(1);
  expect(server.logins.every(({ accepted }) => accepted)).toBe(true);
});

interface Service {
  command: string[];
  environment: Record<string, string>;
  depends_on?: Record<string, unknown>;
}

test.concurrent('the dev container of examples/real-sql-server finds what runs beside it, without Docker', async () => {
  const folder = await projectOf('real-sql-server');
  const configFile = new URL('../../examples/real-sql-server/.devcontainer/devcontainer.json', import.meta.url);
  const { dockerComposeFile, service } = JSON.parse(await readFile(configFile, 'utf8'));
  expect(dockerComposeFile[0]).toBe('../../../docker-compose.yml');
  const [base, own] = await Promise.all(
    dockerComposeFile.map(async (name: string) => {
      const text = await readFile(new URL(name, configFile), 'utf8');
      // The defaults of the file, with no variable set.
      return (parse(text.replace(/\$\{\w+:-([^}]*)\}/g, '$1')) as { services: Record<string, Service> }).services;
    }),
  );
  // As Docker Compose merges them: `command` is replaced, `environment` is added to.
  const of = (name: string): Service => {
    const [before, after] = [base?.[name], own?.[name]];
    return { ...before, ...after, environment: { ...before?.environment, ...after?.environment } } as Service;
  };
  const app = of(service);
  expect(Object.keys(app.depends_on ?? {})).toEqual(['gateway']);

  const sa = of('sqlserver').environment.MSSQL_SA_PASSWORD ?? '';
  const server = closedAfterwards(await startSqlEmulator({ users: { sa } }));
  const [entra, gateway] = [await freePort(), await freePort()];
  // The names that only a network of containers has.
  const elsewhere = (words: string | number) =>
    String(words)
      .replace('0.0.0.0:8080', `127.0.0.1:${entra}`)
      .replace('entra:8080', `127.0.0.1:${entra}`)
      .replace('0.0.0.0:1433', `127.0.0.1:${gateway}`)
      .replace('gateway,1433', `127.0.0.1,${gateway}`)
      .replace(/^sqlserver$/, `127.0.0.1:${server.port}`);
  for (const name of ['entra', 'gateway']) {
    const { command, environment } = of(name);
    if (name === 'entra') command[command.indexOf('--lifetime') + 1] = '6';
    const { lines } = start(
      folder,
      ['node_modules/mssql-token-pool/dist/cli/main.js', ...command.map(elsewhere)],
      environment,
    );
    for (let line = ''; !line.includes(' ready'); line = (await lines.next()).value);
  }
  const variables = Object.entries(app.environment).map(([name, value]) => [name, elsewhere(value)]);
  const output = await runIn(folder, 'npm test', { ...Object.fromEntries(variables), TOKEN_LIFETIME_SECONDS: '6' });
  expect(output).toMatch(/[#ℹ] pass 1\b/);
});
