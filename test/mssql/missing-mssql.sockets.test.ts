import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
const project = mkdtempSync(join(tmpdir(), 'no-mssql-'));
afterAll(() => rmSync(project, { recursive: true, force: true }));

/** Runs code in a project that has this package and its dependencies, but neither mssql nor tedious. */
function run(code: string, extension: 'mjs' | 'cjs'): string {
  const packages = join(project, 'node_modules');
  const own = join(packages, 'mssql-token-pool');
  mkdirSync(own, { recursive: true });
  cpSync(join(root, 'dist'), join(own, 'dist'), { recursive: true });
  cpSync(join(root, 'package.json'), join(own, 'package.json'));
  for (const name of ['generic-pool', '@azure']) {
    rmSync(join(packages, name), { force: true });
    symlinkSync(join(root, 'node_modules', name), join(packages, name));
  }
  const file = join(project, `run.${extension}`);
  writeFileSync(file, code);
  return execFileSync(process.execPath, ['--no-warnings', file], { encoding: 'utf8', cwd: project, stdio: 'pipe' });
}

describe('without mssql installed', () => {
  test('the drop-in module says what to install (ESM)', () => {
    const failed = () => run(`import 'mssql-token-pool/mssql'`, 'mjs');
    expect(failed).toThrow(/^ConfigurationError: .*npm install mssql$.*code: 'ERR_CONFIGURATION'/ms);
  });

  test('the drop-in module says what to install (CommonJS)', () => {
    const output = run(`try { require('mssql-token-pool/mssql') } catch (e) { console.log(e.code, e.message) }`, 'cjs');
    expect(output).toMatch(/^ERR_CONFIGURATION .*npm install mssql/);
  });

  test('the main entry point works, withTokenRefresh included', () => {
    const output = run(
      `import { withTokenRefresh } from 'mssql-token-pool';
       const getToken = async () => ({ token: 't', expiresOnTimestamp: Date.now() + 1000 });
       console.log(withTokenRefresh({ server: 'db.example', authentication: { getToken } }).authentication.type)`,
      'mjs',
    );
    expect(output.trim()).toBe('token-credential');
  });
});
