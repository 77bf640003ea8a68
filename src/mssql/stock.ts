import { ConfigurationError } from '../errors.js';
import { isMissing, requireFrom } from '../installed.js';
import { require } from '../require.js';

/**
 * The user's own `mssql`, and the copy of `tedious` that it uses: requests and connections must come from one copy.
 * Loaded with `require`, synchronously and only when it is needed, so that the main entry point works without mssql,
 * `require('mssql-token-pool/mssql')` works from CommonJS, and a missing package gives an error that says what to do.
 */
export type Mssql = typeof import('mssql');
export type Tedious = typeof import('tedious');

/** The oldest mssql with `CHANNELS` and pools that can be replaced; the one before it runs on a tedious that knows no token credentials. */
const OLDEST = 11;

/** @throws ConfigurationError if mssql is not installed or is too old. */
export function requireMssql(): Mssql {
  const mssql = load();
  assertSupportedMssql();
  return mssql;
}

/**
 * For code that mssql calls and that need not load it: does nothing if mssql is not installed or is part of a bundle.
 *
 * @throws ConfigurationError if the installed mssql is too old
 */
export function assertSupportedMssql(): void {
  const version = installedVersion();
  if (version === undefined || Number.parseInt(version, 10) >= OLDEST) return;
  throw new ConfigurationError(
    `mssql-token-pool needs mssql ${OLDEST} or later, but ${version} is installed: npm install mssql@12`,
  );
}

function installedVersion(): string | undefined {
  const packageJson = requireFrom<{ version?: string } | undefined>(
    () => require.resolve('mssql'),
    'mssql/package.json',
    () => undefined,
  );
  return packageJson?.version;
}

/** The tedious that mssql itself loads, which need not be the application's own. */
export function requireTediousOfMssql(): Tedious {
  load();
  return requireFrom(
    () => require.resolve('mssql'),
    'tedious',
    () => require('tedious'),
  );
}

function load(): Mssql {
  try {
    return require('mssql') as Mssql;
  } catch (cause) {
    if (!isMissing(cause, 'mssql')) throw cause;
    throw new ConfigurationError(
      "The package 'mssql' is not installed; mssql-token-pool/mssql, /typeorm and /drizzle work on top of it: npm install mssql",
      { cause },
    );
  }
}
