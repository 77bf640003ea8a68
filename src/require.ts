import { createRequire } from 'node:module';

/**
 * CommonJS's `require`, for packages that are loaded late, synchronously, or only if they are installed. The sources run as
 * ES modules, which have no `require`. The build removes the import of this one, so that a call in dist is CommonJS's own
 * `require('name')`, which bundlers and Jest's module registry understand. Each call therefore names its package in a literal.
 */
export const require = createRequire(import.meta.url);
