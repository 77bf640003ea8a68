import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, expect, type TestContext, test } from 'vitest';
// @ts-expect-error a script without types
import { CHECKS, NOT_RUN } from '../../scripts/conformance/real-checks.mjs';
// @ts-expect-error a script without types
import { examine, examineRealServer } from '../../scripts/conformance/real-server.mjs';
import { requirements } from '../../src/testing/conformance/index.js';
import {
  type EntraEmulatorOptions,
  type SqlEmulatorOptions,
  startEntraEmulator,
  startSqlEmulator,
} from '../../src/testing/index.js';

const run = promisify(execFile);

interface Step {
  id: string;
  passed?: boolean;
  notReached?: string;
  refused?: object;
}

/** An emulator as the real server; `statements` is what it was asked to run. */
async function realServer(
  { onTestFinished }: TestContext,
  given: SqlEmulatorOptions & { emulator?: EntraEmulatorOptions } = {},
) {
  const { emulator, ...options } = given;
  const statements: string[] = [];
  const entra = await startEntraEmulator(emulator);
  const server = await startSqlEmulator({
    databases: ['app'],
    onQuery: async (sql) => {
      statements.push(sql);
      if (sql.startsWith('SELECT COUNT(*)')) return [{ n: 0 }];
      return /^(CREATE|DROP|BEGIN|INSERT) /.test(sql) ? [] : undefined;
    },
    ...options,
    entra,
  });
  onTestFinished(async () => {
    await server.close();
    await entra.close();
  });
  const { server: host, port, options: encryption } = server.config();
  return { entra, server, statements, target: { server: host, port, options: encryption, database: 'app' } };
}

afterEach(() => {
  process.exitCode = undefined;
});

const SLOW_LOGIN = { loginDelayMs: 400 };

test.concurrent.for<[string, SqlEmulatorOptions]>(
  CHECKS.map(({ id }: Step) => [id, id === 'warm-hand-over' ? SLOW_LOGIN : {}]),
)('this package meets %s on a server that it cannot control', async ([id, options], context) => {
  const { target, entra } = await realServer(context, options);
  const { steps } = await examine(target, entra.credential(), {
    only: [id],
    lifetimeMs: id === 'warm-hand-over' ? 4000 : 2000,
  });
  expect(steps).toEqual([expect.objectContaining({ id, passed: true })]);
});

test('each requirement of the suite is checked on a real server, or is listed with the reason why not', () => {
  const listed = [...CHECKS.map(({ id }: Step) => id), ...Object.keys(NOT_RUN)];
  expect(requirements.map(({ id }) => id).filter((id) => !listed.includes(id))).toEqual([]);
  const page = readFileSync('docs/conformance.md', 'utf8');
  expect(Object.keys(NOT_RUN).filter((id) => !page.includes(`\`${id}\``))).toEqual([]);
});

test.concurrent('a credential with a cache of its own cannot show warm hand-over, which the report says', async (context) => {
  const { target, entra } = await realServer(context, { emulator: { sameToken: true } });
  const { steps } = await examine(target, entra.credential(), { only: ['warm-hand-over'], lifetimeMs: 1000 });
  expect(steps).toMatchObject([
    { notReached: 'the credential returns the same token until shortly before it expires' },
  ]);
});

test.concurrent('the run leaves nothing behind, and its report contains no secret', async (context) => {
  const { target, entra, statements } = await realServer(context, { emulator: { sameToken: true } });
  const credential = entra.credential();
  const only = ['logs-in', 'no-retry-of-configuration-errors', 'no-secret-in-errors', 'own-schema'];
  const report = await examine(target, credential, { only });
  expect(report).toMatchObject({ stopped: undefined, leftBehind: undefined, steps: Array(4).fill({ passed: true }) });
  const created = statements.filter((sql) => sql.startsWith('CREATE SCHEMA')).map((sql) => sql.split(' ')[2]);
  const dropped = statements.filter((sql) => sql.startsWith('DROP SCHEMA')).map((sql) => sql.split(' ').at(-1));
  expect(created).toHaveLength(1);
  expect(dropped).toEqual(created);
  expect(statements.filter((sql) => !sql.includes(String(created[0])))).toEqual([]);
  const { token } = await credential.getToken('https://database.windows.net/.default');
  for (const secret of [token, entra.clientId]) expect(JSON.stringify(report)).not.toContain(secret);
  expect(report.steps[1]).toMatchObject({ refused: { number: 4060 } });
  expect(report.steps[2]).toMatchObject({ refused: { number: 18456 } });
});

test.concurrent('a server that hangs ends the run at its limit, and the schema is dropped once the server answers', async (context) => {
  const statements: string[] = [];
  const { target, entra, server } = await realServer(context, {
    onQuery: (sql) => {
      statements.push(sql);
      return sql.startsWith('CREATE TABLE') ? new Promise(() => {}) : [];
    },
  });
  const report = await examine(target, entra.credential(), {
    only: ['own-schema', 'warm-checkout'],
    limitMs: 1500,
    onStep: () => server.dropConnections(),
  });
  expect(report).toMatchObject({
    stopped: 'the limit of 2 s was reached',
    leftBehind: undefined,
    steps: [{ notReached: 'the limit of 2 s was reached' }, { notReached: 'the limit of 2 s was reached' }],
  });
  expect(statements.at(-1)).toMatch(/^DROP SCHEMA IF EXISTS mtp_conformance_/);
});

test.concurrent('a server that hangs for good ends the run too, and the report names the schema that may be left', async (context) => {
  const { target, entra, server } = await realServer(context, {
    onQuery: (sql) => {
      if (sql.startsWith('CREATE TABLE')) server.pause();
      return [];
    },
  });
  const report = await examine(target, entra.credential(), { only: ['own-schema'], limitMs: 1500, cleanUpMs: 1000 });
  expect(report.leftBehind).toMatch(/^mtp_conformance_[0-9a-f]{12}$/);
});

test.concurrent('an identity provider that hangs ends the run at its limit, with what was not reached', async (context) => {
  const { target } = await realServer(context);
  const hangs = { getToken: () => new Promise(() => {}) };
  const report = await examine(target, hangs, { limitMs: 500 });
  expect(report.steps.map(({ notReached }: Step) => notReached)).toEqual(
    CHECKS.map(() => 'the limit of 1 s was reached'),
  );
});

test.concurrent('a login that fails ends the run: nothing else can be checked', async (context) => {
  const { target, entra } = await realServer(context);
  const report = await examine({ ...target, database: 'missing' }, entra.credential());
  expect(report.steps[0]).toMatchObject({ passed: false, error: { number: 4060 } });
  expect(report.steps.slice(1).every(({ notReached }: Step) => notReached === 'the login failed')).toBe(true);
});

test('prints what it will do, and does nothing without --yes', async () => {
  const { stdout } = await run(process.execPath, [
    'scripts/conformance.mjs',
    ...['--server', 'nowhere.invalid', '--database', 'app'],
  ]);
  for (const step of ['logs in with your own credential', 'creates a schema', 'drops both', 'writes a report']) {
    expect(stdout).toContain(step);
  }
  for (const { title } of CHECKS) expect(stdout).toContain(title);
  expect(stdout).toMatch(/\nNothing has been done\. Add --yes to go on\.\n$/);
});

test('with --yes, it writes a report without the names of server, database and login', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'conformance-'));
  context.onTestFinished(() => rmSync(folder, { recursive: true }));
  const output = join(folder, 'report.json');
  const { server, entra } = await realServer(context, { databases: ['app-of-contoso'], emulator: { sameToken: true } });
  await examineRealServer({
    server: `localhost,${server.port}`,
    database: 'app-of-contoso',
    authentication: entra.credential(),
    yes: true,
    output,
    only: ['logs-in', 'single-flight', 'own-schema'],
    'trust-server-certificate': true,
  });
  expect(process.exitCode).toBe(0);
  const report = readFileSync(output, 'utf8');
  expect(JSON.parse(report)).toMatchObject({ node: process.version, steps: Array(3).fill({ passed: true }) });
  for (const name of ['localhost', `,${server.port}`, 'app-of-contoso', entra.clientId, 'eyJ']) {
    expect(report).not.toContain(name);
  }
});

test.skipIf(process.platform === 'win32')(
  'Ctrl+C ends the run, drops the schema and writes the report',
  async (context) => {
    const folder = mkdtempSync(join(tmpdir(), 'conformance-'));
    context.onTestFinished(() => rmSync(folder, { recursive: true }));
    const statements: string[] = [];
    let reached = (): void => {};
    const atTable = new Promise<void>((resolve) => {
      reached = resolve;
    });
    const { server, entra } = await realServer(context, {
      onQuery: (sql) => {
        statements.push(sql);
        if (!sql.startsWith('CREATE TABLE')) return [];
        reached();
        return new Promise(() => {});
      },
    });
    // The credential is an object, which no command line can pass, so a script of two lines runs it.
    const script = join(folder, 'run.mjs');
    const token = await entra.credential().getToken('https://database.windows.net/.default');
    writeFileSync(
      script,
      `import { examineRealServer } from ${JSON.stringify(new URL('../../scripts/conformance/real-server.mjs', import.meta.url).href)};
    await examineRealServer(${JSON.stringify({
      server: `localhost,${server.port}`,
      database: 'app',
      yes: true,
      only: ['own-schema', 'warm-checkout'],
      output: join(folder, 'report.json'),
      'trust-server-certificate': true,
    }).slice(0, -1)}, "authentication": { getToken: async () => (${JSON.stringify(token)}) } });
    process.exit();`,
    );
    const child = spawn(process.execPath, [script], { stdio: 'ignore' });
    const ended = once(child, 'exit');
    await atTable;
    child.kill('SIGINT');
    expect(await ended).toEqual([1, null]);
    expect(JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8'))).toMatchObject({ stopped: 'interrupted' });
    expect(statements.at(-1)).toMatch(/^DROP SCHEMA IF EXISTS mtp_conformance_/);
  },
);
