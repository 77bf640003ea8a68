import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { makeCertificate, startEntraEmulator, startSqlEmulator } from '../../src/testing/index.js';
import { unusedPort } from '../support/unused-port.js';
import { closing, execute, refusedLogin, tediousConnect } from '../testing/sql-clients.js';
import { Program } from './programs.js';

const PASSWORD = 'App-password-1';

async function behind() {
  return closing(await startSqlEmulator({ users: { app: PASSWORD, boss: 'Boss-password-1' } }));
}

/** A token by the ordinary OAuth request of any client. */
async function tokenOf(url: string, tenant: string, client: string, secret: string): Promise<string> {
  const response = await fetch(`${url}/${tenant}/oauth2/v2.0/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: client,
      client_secret: secret,
      scope: 'https://database.windows.net/.default',
    }),
  });
  const { access_token: token } = (await response.json()) as { access_token: string };
  return token;
}

/** A login at a gateway that runs in another process. */
function at(listen: string, token: string, ca: string) {
  return {
    server: 'localhost',
    port: Number(listen.split(':').at(-1)),
    authentication: { type: 'azure-active-directory-access-token', options: { token } },
    options: { encrypt: true, cryptoCredentialsDetails: { ca } },
  };
}

describe('the programs', () => {
  test('a token of entra logs in through gateway', async () => {
    const server = await behind();
    const entra = new Program(['entra', '--listen', '0', '--lifetime', '600']);
    const { url = '', tenant = '', client = '', secret = '' } = await entra.said('ready');
    const certificate = join(mkdtempSync(join(tmpdir(), 'gateway-')), 'gateway.pem');
    const gateway = new Program(
      [
        'gateway',
        ...[
          '--listen',
          '0',
          '--upstream',
          `localhost:${server.port}`,
          '--trust-upstream',
          '--entra',
          `${url}/${tenant}`,
        ],
        ...['--user', 'app', '--password-env', 'UPSTREAM_PASSWORD', '--certificate-out', certificate],
      ],
      { UPSTREAM_PASSWORD: PASSWORD },
    );
    const { listen = '' } = await gateway.said('ready');
    const token = await tokenOf(url, tenant, client, secret);
    const { connection } = await tediousConnect(at(listen, token, readFileSync(certificate, 'utf8')));
    expect(await execute(connection, 'SELECT SUSER_SNAME()')).toEqual([['app']]);
    expect(await gateway.said('login accepted')).toMatchObject({ principal: client, authentication: 'security-token' });

    connection.close();
    expect(await gateway.stop()).toBe(0);
    expect(gateway.lines.at(-1)).toContain(' stopped');
    expect(await entra.stop('SIGINT')).toBe(0);
    expect([...gateway.lines, gateway.errors].join('\n')).not.toMatch(new RegExp(`${PASSWORD}|${token.slice(0, 40)}`));
  });

  test('gateway waits for an issuer that is started with it', async () => {
    const server = await behind();
    const port = await unusedPort();
    const tenantId = '4f6d3c1e-0000-4000-8000-0000000000a1';
    const gateway = new Program(
      [
        ...['gateway', '--listen', '0', '--upstream', `localhost:${server.port}`, '--trust-upstream', '--user', 'app'],
        ...['--password-env', 'UPSTREAM_PASSWORD', '--entra', `http://localhost:${port}/${tenantId}`],
      ],
      { UPSTREAM_PASSWORD: PASSWORD },
    );
    // By then, it has requested the keys at least once and was refused.
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(gateway.errors).toBe('');
    closing(await startEntraEmulator({ port, tenantId }));
    await gateway.said('ready');
    expect(await gateway.stop()).toBe(0);
  });

  test('gateway does not give the login of a --login principal to a SQL login of that name', async () => {
    const server = await behind();
    const entra = closing(await startEntraEmulator());
    const upstream = ['--listen', '0', '--upstream', `localhost:${server.port}`, '--trust-upstream'];
    const trust = ['--entra', `${entra.url}/${entra.tenantId}`];
    const start = async (...more: string[]) => {
      const certificate = join(mkdtempSync(join(tmpdir(), 'gateway-')), 'gateway.pem');
      const gateway = new Program(
        [
          'gateway',
          ...upstream,
          ...trust,
          '--login',
          'report-app=boss:BOSS',
          '--certificate-out',
          certificate,
          ...more,
        ],
        { BOSS: 'Boss-password-1' },
      );
      const { listen = '' } = await gateway.said('ready');
      return { gateway, port: Number(listen.split(':').at(-1)), ca: readFileSync(certificate, 'utf8') };
    };
    const asReportApp = ({ port, ca }: { port: number; ca: string }) =>
      refusedLogin({
        server: 'localhost',
        port,
        user: 'report-app',
        password: 'any password',
        options: { encrypt: true, cryptoCredentialsDetails: { ca } },
      });

    const passing = await start();
    expect((await asReportApp(passing)).errors).toMatchObject([{ number: 18456 }]);
    expect(server.logins.map(({ principal }) => principal)).toEqual(['report-app']);
    await passing.gateway.stop();

    const refusing = await start('--sql-logins', 'refuse');
    expect((await asReportApp(refusing)).errors).toMatchObject([{ number: 18456 }]);
    expect(server.logins).toHaveLength(1);
    await refusing.gateway.stop();
  });

  test('gateway waits for open sessions before it exits', async () => {
    const server = await behind();
    const entra = closing(await startEntraEmulator());
    const gateway = new Program(
      [
        'gateway',
        ...['--listen', '0', '--upstream', `localhost:${server.port}`, '--trust-upstream', '--encrypt', 'on'],
        ...['--entra', `${entra.url}/${entra.tenantId}`, '--drain-seconds', '20'],
        ...['--user', 'app', '--password', PASSWORD, '--login', `${entra.clientId}=boss:BOSS`],
      ],
      { BOSS: 'Boss-password-1' },
    );
    const { listen = '' } = await gateway.said('ready');
    const settings = at(listen, entra.issueToken(), '');
    const { connection } = await tediousConnect({
      ...settings,
      options: { encrypt: true, trustServerCertificate: true },
    });
    const working = execute(connection, "WAITFOR DELAY '00:00:00.300'; SELECT SUSER_SNAME()", { batch: true });
    const stopped = gateway.stop();
    await gateway.said('stopping');
    expect(await working).toEqual([['boss']]);
    connection.close();
    expect(await stopped).toBe(0);
  });

  test('accepts a certificate, an audience and a database; refresh_in and the secret', async () => {
    const server = await behind();
    const directory = mkdtempSync(join(tmpdir(), 'gateway-'));
    const [certificate, key] = [join(directory, 'own.pem'), join(directory, 'own.key')];
    const own = makeCertificate({ commonName: 'localhost' });
    writeFileSync(certificate, own.cert);
    writeFileSync(key, own.key);
    const entra = new Program(
      ['entra', '--listen', '0', '--lifetime', '600', '--refresh-in', '60', '--client-secret-env', 'GIVEN'],
      { GIVEN: 'a-secret-that-was-given' },
    );
    const { url = '', tenant = '', client = '', secret } = await entra.said('ready');
    expect(secret).toBeUndefined();
    const gateway = new Program([
      'gateway',
      ...['--listen', '0', '--upstream', `localhost:${server.port}`, '--trust-upstream', '--database', 'shop'],
      ...['--user', 'app', '--password', PASSWORD, '--entra', `${url}/${tenant}`],
      ...['--audience', 'https://vault.azure.net', '--certificate', certificate, '--key', key],
    ]);
    const { listen = '' } = await gateway.said('ready');
    const form = {
      grant_type: 'client_credentials',
      client_id: client,
      client_secret: 'a-secret-that-was-given',
      scope: 'https://vault.azure.net/.default',
    };
    const response = await fetch(`${url}/${tenant}/oauth2/v2.0/token`, {
      method: 'POST',
      body: new URLSearchParams(form),
    });
    const answer = (await response.json()) as { access_token: string; refresh_in: number };
    expect(answer.refresh_in).toBe(60);
    const { connection } = await tediousConnect(at(listen, answer.access_token, own.cert));
    expect(await execute(connection, 'SELECT DB_NAME()')).toEqual([['shop']]);
    // Of another audience.
    const other = await tokenOf(url, tenant, client, 'a-secret-that-was-given');
    const { errors } = await refusedLogin(at(listen, other, own.cert));
    expect(errors).toMatchObject([{ number: 18456 }]);
  });

  test('gateway logs why it refuses a login', async () => {
    const entra = closing(await startEntraEmulator());
    const gateway = new Program([
      'gateway',
      ...['--listen', '0', '--upstream', 'localhost:1', '--user', 'x', '--password', 'y'],
      ...['--entra', `${entra.url}/${entra.tenantId}`],
    ]);
    const { listen = '' } = await gateway.said('ready');
    const trusting = { encrypt: true, trustServerCertificate: true };
    await refusedLogin({ ...at(listen, entra.issueToken({ expiresInSeconds: -5 }), ''), options: trusting });
    expect(await gateway.said('login refused')).toMatchObject({ number: '18456', state: '233' });
    await refusedLogin({ ...at(listen, entra.issueToken(), ''), options: trusting });
    expect((await gateway.said('upstream failed')).error).toContain('ECONNREFUSED');
  });

  test.each([
    [['gateway'], '--upstream is missing'],
    [['gateway', '--upstream', 'x'], '--entra is missing'],
    [['gateway', '--nonsense'], 'Unknown option (argument 1).'],
    [
      ['gateway', '--upstream', 'x', '--entra', 'http://localhost:1/t', '--password-env', 'NO_SUCH_VARIABLE'],
      'there is no environment variable of that name',
    ],
    [
      ['gateway', '--upstream', 'x', '--entra', 'http://localhost:1/t', '--listen', 'nowhere'],
      '--listen: give a port, or an address',
    ],
    [
      ['gateway', '--upstream', 'x', '--entra', 'http://localhost:1/t', '--user', 'sa'],
      '--user and --password-env (or --password) go together',
    ],
    [
      ['gateway', '--upstream', 'x', '--entra', 'http://localhost:1/t', '--password', 'secret'],
      '--user and --password-env (or --password) go together',
    ],
    [['entra', '--tenant-id', 'a/b'], '--tenant-id: give an id or a domain name'],
    [['entra', '--lifetime', 'long'], '--lifetime: give a number of seconds'],
    [
      ['gateway', '--upstream', 'x', '--entra', 'http://localhost:1/t', '--drain-seconds', 'soon'],
      '--drain-seconds: give a number of seconds',
    ],
    [['nothing'], 'Usage: mssql-token-pool <command>'],
  ])('%j is rejected with the correct usage', async (args, says) => {
    const program = new Program(args);
    expect(await program.exit()).toBe(2);
    expect(program.errors).toContain(says);
  });

  test('reports an unreachable issuer', async () => {
    const program = new Program([
      'gateway',
      '--upstream',
      'x',
      '--entra',
      'http://127.0.0.1:1/tenant',
      '--listen',
      '0',
    ]);
    expect(await program.exit()).toBe(1);
    expect(program.errors).toContain('http://127.0.0.1:1/tenant');
  });

  test('--help lists all options', async () => {
    const program = new Program(['gateway', '--help']);
    expect(await program.exit()).toBe(0);
    expect(program.lines[0]).toContain('Usage: mssql-token-pool gateway');
  });
});
