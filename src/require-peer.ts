import { ConfigurationError } from './errors.js';
import { isInstalled, isMissing } from './installed.js';

/**
 * Checks, when a subpath is imported, that the package it works with is installed.
 *
 * @throws ConfigurationError with the command that installs it
 */
export function assertInstalled(name: string, subpath: string): void {
  assertOneInstalled([name], subpath);
}

/** The same for several packages of which one is enough. */
export function assertOneInstalled(names: readonly [string, ...string[]], subpath: string): void {
  if (!names.some(isInstalled)) throw notInstalled(names, subpath);
}

/**
 * Loads a package that the user installs. Synchronously, so that a configuration is ready when the ORM needs it.
 *
 * @param load a function with the package's name in a literal: `() => require('knex')`
 * @throws ConfigurationError with the command that installs it
 */
export function requirePeer<T>(load: () => unknown, name: string, subpath: string): T {
  try {
    return load() as T;
  } catch (error) {
    throw isMissing(error, name) ? notInstalled([name], subpath) : error;
  }
}

function notInstalled(names: readonly [string, ...string[]], subpath: string): ConfigurationError {
  return new ConfigurationError(
    `mssql-token-pool/${subpath} works with the package ${names.map((name) => `'${name}'`).join(' or ')}, which is not installed: npm install ${names[0]}`,
  );
}
