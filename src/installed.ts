import { createRequire } from 'node:module';

/**
 * `require` as an installed package sees it: `requireFrom(() => require.resolve('mssql'), 'tedious', ...)` is the tedious
 * that mssql runs on, which need not be the application's own.
 *
 * @param owner a file of the package to start from
 * @param inBundle loads the package where a bundler has left no such file
 */
export function requireFrom<T>(owner: () => string, name: string, inBundle: () => unknown): T {
  let seenFromOwner: NodeJS.Require;
  try {
    seenFromOwner = createRequire(owner());
  } catch {
    return inBundle() as T;
  }
  return seenFromOwner(name) as T;
}

/** Whether a package is installed. True inside a bundle, where this cannot be known and the bundler has checked it. */
export function isInstalled(name: string): boolean {
  let require: NodeJS.Require;
  try {
    require = createRequire(import.meta.url);
    if ((require('../package.json') as { name?: string }).name !== 'mssql-token-pool') return true;
  } catch {
    return true;
  }
  try {
    require.resolve(name);
    return true;
  } catch (error) {
    // An ESM-only package is installed, but not for `require`: any code other than this one means that it was found.
    return (error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND';
  }
}

/** Whether an error of `require` or `import()` means that this package itself is missing, and not one that it needs. */
export function isMissing(error: unknown, name: string): boolean {
  if (!(error instanceof Error) || !/^(ERR_)?MODULE_NOT_FOUND$/.test(String((error as NodeJS.ErrnoException).code))) {
    return false;
  }
  return error.message.includes(`'${name}'`) || error.message.includes(`'${name}/`);
}
