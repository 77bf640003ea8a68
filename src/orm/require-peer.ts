import { createRequire } from 'node:module';
import { ConfigurationError } from '../errors.js';

const require = createRequire(import.meta.url);

/**
 * Says which package is missing, at the import of the subpath that works with it.
 *
 * @throws ConfigurationError
 */
export function assertInstalled(name: string, subpath: string): void {
  assertOneInstalled([name], subpath);
}

/** The same where any one of several packages will do. */
export function assertOneInstalled(names: readonly [string, ...string[]], subpath: string): void {
  if (names.some(isInstalled)) return;
  throw new ConfigurationError(
    `mssql-token-pool/${subpath} works with the package ${names.map((name) => `'${name}'`).join(' or ')}, which is not installed: npm install ${names[0]}`,
  );
}

function isInstalled(name: string): boolean {
  try {
    require.resolve(name);
    return true;
  } catch (error) {
    // A package for ESM only is there, but not for `require`: any other code than this one means that it was found.
    return (error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND';
  }
}

/**
 * Loads a package that the user installs. Synchronously, so that a configuration is ready when the ORM asks for it.
 *
 * @throws ConfigurationError that says which package to install
 */
export function requirePeer<T>(name: string, subpath: string): T {
  assertInstalled(name.split('/', name.startsWith('@') ? 2 : 1).join('/'), subpath);
  return require(name) as T;
}

/** The same package as another one finds it: its values and ours must come from one copy. */
export function requireAsSeenFrom<T>(owner: string, name: string, subpath: string): T {
  assertInstalled(owner, subpath);
  return createRequire(require.resolve(owner))(name) as T;
}
