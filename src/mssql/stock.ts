import { createRequire } from 'node:module';
import { ConfigurationError } from '../errors.js';

/**
 * The user's own `mssql`, and the copy of `tedious` it runs on: requests and connections must come from one copy.
 * Loaded with `require`, synchronously and only where it is needed, so that the main entry point works without mssql,
 * `require('mssql-token-pool/mssql')` works from CommonJS, and a missing package gives an error that says what to do.
 */
export type Mssql = typeof import('mssql');
export type Tedious = typeof import('tedious');

const require = createRequire(import.meta.url);

/** @throws ConfigurationError where mssql is not installed, or is older than 12. */
export function requireMssql(): Mssql {
  const mssql = load('mssql');
  const { version } = require('mssql/package.json') as { version: string };
  if (Number.parseInt(version, 10) < 12) {
    throw new ConfigurationError(
      `mssql-token-pool needs mssql 12 or later, but ${version} is installed: npm install mssql@12`,
    );
  }
  return mssql;
}

/** The tedious that mssql itself loads, which need not be the application's own. */
export function requireTediousOfMssql(): Tedious {
  load('mssql');
  return createRequire(require.resolve('mssql'))('tedious') as Tedious;
}

function load(name: 'mssql'): Mssql {
  try {
    return require(name) as Mssql;
  } catch (cause) {
    if (!isMissing(cause, name)) throw cause;
    throw new ConfigurationError(
      'mssql-token-pool/mssql works on top of the mssql package, which is not installed: npm install mssql',
      { cause },
    );
  }
}

function isMissing(error: unknown, name: string): boolean {
  return (
    error instanceof Error &&
    (error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND' &&
    error.message.includes(`'${name}'`)
  );
}
