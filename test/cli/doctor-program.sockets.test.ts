import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { type Site, site } from '../support/pool.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'doctor-'));
const ca = join(folder, 'ca.pem');
let here: Site;

beforeAll(async () => {
  here = await site({ entra: { deviceCode: { intervalSeconds: 0.02 } }, server: { databases: ['app'] } });
  writeFileSync(ca, here.server.ca);
});
afterAll(async () => {
  await here[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

interface Run {
  code: number;
  stdout: string;
  stderr: string;
}

/** The program as it is installed, in a process of its own. */
function doctor(args: string[], env: Record<string, string> = {}): Promise<Run> {
  const { entra } = here;
  const azure = {
    AZURE_TENANT_ID: entra.tenantId,
    AZURE_CLIENT_ID: entra.clientId,
    AZURE_CLIENT_SECRET: entra.clientSecret,
    AZURE_AUTHORITY_HOST: entra.url,
  };
  return new Promise((resolve) => {
    const options = { env: { PATH: process.env.PATH, ...azure, ...env } };
    execFile(process.execPath, [MAIN, 'doctor', ...args], options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

const there = (): string[] => ['--server', 'localhost', '--port', String(here.server.port), '--ca', ca];

test('with the environment of an application it prints a tick for each step, without colour into a pipe', async () => {
  const { code, stdout } = await doctor([...there(), '--database', 'app']);
  expect(stdout).toMatch(
    /^✓ name resolution +localhost is .* ms\n✓ TCP [^✗]*✓ encryption [^✗]*✓ certificate [^✗]*✓ token [^✗]*✓ login [^✗]*✓ identity [^✗]*✓ query [^✗]*All well, in \d+ ms\. Recommended settings: encrypt: true, /,
  );
  expect(stdout).not.toContain('\u001b[');
  expect(stdout).not.toContain(here.entra.clientSecret);
  expect(code).toBe(0);
});

const hasTerminal = existsSync('/usr/bin/script') && process.platform === 'linux';
if (!hasTerminal) console.warn('SKIPPED: no program `script` here that makes a terminal (util-linux)');

test.skipIf(!hasTerminal)('on a terminal it is in colour, unless NO_COLOR is set', async () => {
  const onTerminal = (env: object): Promise<string> =>
    new Promise((resolve) => {
      const command = [process.execPath, MAIN, 'doctor', '--server', 'localhost', '--port', '9'].join(' ');
      const options = { env: { PATH: process.env.PATH, TERM: 'xterm', SHELL: '/bin/sh', ...env } };
      execFile('/usr/bin/script', ['-qec', command, '/dev/null'], options, (_, stdout) => resolve(stdout));
    });
  expect(await onTerminal({})).toContain('\u001b[32m✓');
  const plain = await onTerminal({ NO_COLOR: '1' });
  expect(plain).toContain('✓ name resolution');
  expect(plain).not.toContain('\u001b[');
});

test('stops at the first failure with the likely cause and the next step; the exit code identifies the step', async () => {
  const { code, stdout } = await doctor([...there(), '--database', 'ap']);
  expect(stdout).toMatch(
    /✗ login +Cannot open database "ap".*\n\n {2}Likely cause {2}The server has no such database.*\n {2}Next step {5}Check the database name/,
  );
  expect(stdout).not.toContain('identity');
  expect(code).toBe(15);
});

test('--json prints one object for scripts', async () => {
  const { code, stdout } = await doctor([...there(), '--json'], { AZURE_CLIENT_SECRET: 'not-the-secret' });
  const result = JSON.parse(stdout);
  expect(result).toMatchObject({ ok: false, exitCode: 14 });
  expect(result.steps.at(-1)).toMatchObject({ step: 'token', ok: false, failure: { aadsts: 7000215 } });
  expect(stdout).not.toContain('not-the-secret');
  expect(code).toBe(14);
});

test('accepts a connection string, also from the environment', async () => {
  const text = `Server=localhost,${here.server.port};Database=app;User ID=ada;Password=Wrong-1!`;
  const { code, stdout } = await doctor(['--ca', ca], { SQL_CONNECTION_STRING: text });
  expect(stdout).toContain("✗ login            Login failed for user 'ada'.");
  expect(stdout).not.toContain('Wrong-1!');
  expect(code).toBe(15);
});

test.each([
  ['--database', 'app'],
  ['--encrypt', 'strict'],
  ['--client-id', 'x'],
])('%s with a connection string is wrong usage, not ignored', async (option, value) => {
  for (const [args, env] of [
    [['--connection-string', 'Server=localhost', option, value], {}],
    [[option, value], { SQL_CONNECTION_STRING: 'Server=localhost' }],
  ] as const) {
    const { code, stderr } = await doctor([...args], env);
    expect(stderr).toContain(`${option} has no effect with a connection string`);
    expect(code).toBe(2);
  }
});

test('rejects an unknown value of --encrypt', async () => {
  expect(await doctor([...there(), '--encrypt', 'stricht'])).toMatchObject({
    code: 2,
    stderr: '--encrypt must be strict, true or false.\n',
  });
});

test('accepts a server with its port', async () => {
  const { code } = await doctor(['--server', `localhost,${here.server.port}`, '--ca', ca, '--database', 'app']);
  expect(code).toBe(0);
});

/** Each value of SqlClient's `Authentication=`, with what it needs, and what must come of it. */
const KEYWORDS: [
  keyword: string,
  method: string,
  how: () => { args?: string[]; env?: Record<string, string>; as: string },
][] = [
  ['Active Directory Default', 'chain', () => ({ as: here.entra.clientId })],
  ['Active Directory Integrated', 'chain', () => ({ as: here.entra.clientId })],
  ['Active Directory Service Principal', 'service-principal-secret', () => ({ as: here.entra.clientId })],
  ...['Active Directory Managed Identity', 'Active Directory MSI'].map((keyword): (typeof KEYWORDS)[number] => [
    keyword,
    'managed-identity',
    () => {
      const { clientId } = here.entra.addManagedIdentity();
      const env = { ...here.entra.managedIdentity.appService.env, AZURE_CLIENT_SECRET: '' };
      return { args: ['--client-id', clientId], env, as: clientId };
    },
  ]),
  [
    'Active Directory Workload Identity',
    'workload-identity',
    () => {
      const app = here.entra.addApp({ federatedCredentials: [{ subject: 'shop' }] });
      const file = join(folder, 'federated-token');
      writeFileSync(file, here.entra.issueFederatedToken({ subject: 'shop' }));
      const env = { AZURE_FEDERATED_TOKEN_FILE: file, AZURE_CLIENT_ID: app.clientId, AZURE_CLIENT_SECRET: '' };
      return { env, as: app.clientId };
    },
  ],
  [
    'Active Directory Password',
    'password',
    () => {
      const { userName, password } = here.entra.user;
      return { args: ['--user', userName], env: { SQL_PASSWORD: password }, as: userName };
    },
  ],
  [
    'Active Directory Device Code Flow',
    'device-code',
    () => {
      whenever(
        () => here.entra.deviceSignIns.at(-1)?.state === 'pending',
        () => here.entra.deviceSignIns.at(-1)?.approve(here.entra.user),
      );
      return { as: here.entra.user.userName };
    },
  ],
  [
    'Active Directory Interactive',
    'interactive',
    () => {
      const address = join(folder, 'address');
      for (const program of ['xdg-open', 'open']) {
        const script = `#!/bin/sh\nprintf %s "$1" > '${address}.new' && mv '${address}.new' '${address}'\n`;
        writeFileSync(join(folder, program), script, { mode: 0o755 });
      }
      whenever(
        () => existsSync(address),
        () => here.entra.signIn(readFileSync(address, 'utf8')),
      );
      return { env: { PATH: `${folder}${delimiter}${process.env.PATH}` }, as: here.entra.user.userName };
    },
  ],
];

/** What the person whom the program asks does. */
function whenever(asked: () => boolean, act: () => unknown): void {
  const timer = setInterval(() => {
    if (!asked()) return;
    clearInterval(timer);
    void act();
  }, 20);
  onTestFinished(() => clearInterval(timer));
}

test.each(KEYWORDS)('--authentication "%s" completes every step', { timeout: 30_000 }, async (keyword, method, how) => {
  const { args = [], env = {}, as } = how();
  const run = await doctor([...there(), '--json', '--authentication', keyword, ...args], env);
  const { steps } = JSON.parse(run.stdout);
  const factsOf = (name: string) => steps.find(({ step }: { step: string }) => step === name)?.facts;
  expect(factsOf('token')).toMatchObject({ method, principal: as });
  expect(factsOf('identity')).toMatchObject({ login: as });
  expect(run.stdout).not.toContain(here.entra.user.password);
  expect(run.code).toBe(0);
});

test('--tenant-id and --client-id select the application whose secret is in the environment', async () => {
  const clientSecret = 'another-secret-of-ours';
  const { clientId } = here.entra.addApp({ clientSecret });
  const env = { AZURE_TENANT_ID: '', AZURE_CLIENT_ID: '', AZURE_CLIENT_SECRET: clientSecret };
  const which = ['--tenant-id', here.entra.tenantId, '--client-id', clientId];
  for (const keyword of ['service-principal-secret', 'Active Directory Service Principal']) {
    const { stdout, code } = await doctor([...there(), ...which, '--authentication', keyword], env);
    expect(stdout).toContain(`as ${clientId} of tenant ${here.entra.tenantId}`);
    expect(code).toBe(0);
  }
});

test('--encrypt strict speaks TDS 8; without it, a server that accepts only TDS 8 is recognised', async () => {
  await using strict = await site({ entra: { tenantId: here.entra.tenantId }, server: { encrypt: 'strict' } });
  const file = join(folder, 'strict-ca.pem');
  writeFileSync(file, strict.server.ca);
  const env = {
    AZURE_CLIENT_ID: strict.entra.clientId,
    AZURE_CLIENT_SECRET: strict.entra.clientSecret,
    AZURE_AUTHORITY_HOST: strict.entra.url,
  };
  const to = ['--server', 'localhost', '--port', String(strict.server.port), '--ca', file];
  for (const how of [[], ['--authentication', 'Active Directory Default']]) {
    const well = await doctor([...to, ...how, '--encrypt', 'strict'], env);
    expect(well.stdout).toMatch(/✓ encryption +TDS 8[\s\S]*✓ certificate [\s\S]*✓ query[\s\S]*encrypt: strict/);
    expect(well.code).toBe(0);
  }
  const without = await doctor(to, env);
  expect(without.stdout).toMatch(/✗ encryption[\s\S]*Next step .*--encrypt strict/);
  expect(without.code).toBe(12);
});

test('uses a managed identity by default if there is one', async () => {
  const env = { ...here.entra.managedIdentity.appService.env, AZURE_CLIENT_ID: '', AZURE_CLIENT_SECRET: '' };
  const { stdout, code } = await doctor(there(), env);
  expect(stdout).toContain(`by managed-identity, as ${here.entra.systemAssignedIdentity?.clientId}`);
  expect(code).toBe(0);
});

test('--json prints the fields that the page about the doctor documents', async () => {
  const page = readFileSync(new URL('../../docs/doctor.md', import.meta.url), 'utf8');
  const documented = new Set([...page.matchAll(/^\| `([\w.[\]]+)`/gm)].map((match) => match[1]));
  const runs = await Promise.all([
    doctor([...there(), '--json']),
    doctor([...there(), '--json', '--database', 'ap']),
    doctor([...there().slice(0, 4), '--json', '--trust-server-certificate'], { AZURE_CLIENT_SECRET: 'not-the-secret' }),
  ]);
  const given = new Set(runs.flatMap(({ stdout }) => pathsOf(JSON.parse(stdout))));
  expect([...given].sort()).toEqual([...documented].sort());
});

/** `steps[].failure.code`. What facts and recommended settings there are depends on the step; they end a path. */
function pathsOf(value: object, above = ''): string[] {
  return Object.entries(value).flatMap(([key, below]) => {
    const path = `${above}${key}`;
    if (Array.isArray(below)) {
      return [`${path}[]`, ...below.flatMap((each) => (typeof each === 'object' ? pathsOf(each, `${path}[].`) : []))];
    }
    const open = typeof below === 'object' && key !== 'facts' && key !== 'recommended';
    return [path, ...(open ? pathsOf(below, `${path}.`) : [])];
  });
}

test('reports wrong usage on stderr, with exit code 2', async () => {
  const runs = await Promise.all([
    doctor(['--sever', 'x']),
    doctor([]),
    doctor(['--server', 'x', '--authentication', 'magic']),
  ]);
  expect(runs.map(({ code }) => code)).toEqual([2, 2, 2]);
  expect(runs[0]?.stderr).toContain("Did you mean '--server'?");
  expect(runs[1]?.stderr).toContain('--server or --connection-string is missing');
  expect(runs[2]?.stderr).toContain('Unknown credential method');
});

test('--help lists all options', async () => {
  const { code, stdout } = await doctor(['--help']);
  expect(stdout).toMatch(/--server S[\s\S]*--json[\s\S]*Exit code/);
  expect(code).toBe(0);
});

test('an argument that may hold a secret is named by its position, never quoted', async () => {
  const SECRET = 'hunter2-Secret';
  const runs = await Promise.all([
    doctor([`Server=x;Password=${SECRET}`]),
    doctor(['--server', 'x', '--password-env', SECRET]),
    doctor([`--${SECRET}`]),
    doctor(['--server', 'x', `--${SECRET}=1`]),
    doctor(['--server', 'x', SECRET]),
    doctor(['--server', 'x', '--ca', SECRET]),
    doctor(['--server', 'x', '--authentication', SECRET]),
  ]);
  for (const { code, stdout, stderr } of runs) {
    expect(code).toBe(2);
    expect(stdout + stderr).not.toContain('hunter2');
    expect(stderr).not.toBe('');
  }
  expect(runs[0]?.stderr).toMatch(/argument 1.*--connection-string/s);
  expect(runs[1]?.stderr).toMatch(/argument 3.*environment variables/s);
});

test('a federated credential that does not match: the issuer, subject and audience to enter', async () => {
  const { clientId } = here.entra.addApp({ clientSecret: undefined, federatedCredentials: [{ subject: 'another' }] });
  const env = { AZURE_CLIENT_ID: clientId, SHOP_TOKEN: here.entra.issueFederatedToken({ subject: 'shop-subject' }) };
  const args = [...there(), '--authentication', 'federated', '--from', 'variable=SHOP_TOKEN'];
  const { code, stdout } = await doctor(args, env);
  expect(code).toBe(14);
  expect(stdout).toMatch(/federated credential that matches/);
  expect(stdout).toMatch(/issuer 'http[^']*', subject 'shop-subject', audience 'api:\/\/AzureADTokenExchange'/);
  expect(stdout).not.toContain(env.SHOP_TOKEN);
});

test('the password method is reported as deprecated, with what to use instead', async () => {
  const { userName, password } = here.entra.user;
  const args = [...there(), '--authentication', 'Active Directory Password', '--user', userName];
  const { stdout } = await doctor(args, { SQL_PASSWORD: password });
  expect(stdout).toMatch(/'password' is deprecated.*managed-identity/);
  expect(stdout).not.toContain(password);
});
