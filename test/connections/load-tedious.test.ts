import * as tedious from 'tedious';
import { expect, test } from 'vitest';
import type { TediousModule } from '../../src/connections/dial.js';
import { tediousOf } from '../../src/connections/load-tedious.js';
import { ConfigurationError } from '../../src/errors.js';

/** A config that brings no tedious. */
const INSTALLED = { tedious: undefined };

test('the tedious in the config is used, and no other is loaded', async () => {
  const own = { Connection: class {} } as unknown as TediousModule;
  expect(await tediousOf({ tedious: own }, () => expect.unreachable())).toBe(own);
});

test('without one in the config, the installed tedious is used', async () => {
  expect((await tediousOf(INSTALLED)).Connection).toBe(tedious.Connection);
});

test.each<[string, (module: TediousModule) => object]>([
  ['as a module', (module) => module],
  ['as the default export of a module', (module) => ({ default: module })],
])('loaded %s', async (_, as) => {
  const module = { Connection: class {} } as unknown as TediousModule;
  expect(await tediousOf(INSTALLED, async () => as(module))).toBe(module);
});

function notFound(name: string): Error {
  return Object.assign(new Error(`Cannot find package '${name}' imported from /srv/app/a.js`), {
    code: 'ERR_MODULE_NOT_FOUND',
  });
}

test('a missing tedious is reported with what to do', async () => {
  const cause = notFound('tedious');
  const failure = await tediousOf(INSTALLED, () => Promise.reject(cause)).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(ConfigurationError);
  expect(failure).toMatchObject({ message: "The package 'tedious' is not installed: npm install tedious", cause });
});

test.each([notFound('bl'), new SyntaxError('Unexpected token')])(
  'a tedious that is installed but does not load is reported as it is: %s',
  async (cause) => {
    await expect(tediousOf(INSTALLED, () => Promise.reject(cause))).rejects.toBe(cause);
  },
);
