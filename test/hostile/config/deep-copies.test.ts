import { inspect } from 'node:util';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { TokenPoolConfig } from '../../../src/connections/config.js';
import { settingsFrom } from '../../../src/connections/settings.js';
import { ConfigurationError } from '../../../src/errors.js';
import { withTokenRefresh } from '../../../src/index.js';
import { ConnectionPool } from '../../../src/mssql/index.js';
import { COPIES, type Copy } from './copies.js';

const HOUR = 3_600_000;
const SCOPE = 'https://database.windows.net/.default';
const token = () => ({ token: 'the-token', expiresOnTimestamp: Date.now() + HOUR });

/** As the classes of @azure/identity: methods on the prototype, state that no copy gets. */
class WithPrivateState {
  readonly tenantId = 'contoso';
  readonly #answer = token;

  async getToken(): Promise<object> {
    return this.#answer();
  }
}

class WithPrototype {
  readonly answer = token;

  async getToken(): Promise<object> {
    return this.answer();
  }
}

/** Credentials that need no server; made for each run. */
const CREDENTIALS: Record<string, () => object> = {
  'a function': () => async () => token(),
  'an object': () => ({ getToken: async () => token() }),
  'an object of a class': () => new WithPrototype(),
  'an object of a class with private state': () => new WithPrivateState(),
  "tedious's form": () => ({ type: 'token-credential', options: { credential: new WithPrivateState() } }),
  'a token function beside other settings': () =>
    Object.defineProperty({}, 'getToken', { get: () => async () => token(), enumerable: true }),
};

const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const ms = fc.integer({ min: 1, max: 100_000 });

const config = fc.record(
  {
    port: fc.integer({ min: 1, max: 65_535 }),
    database: fc.constantFrom('shop', 'Größe', 'a b'),
    requestTimeout: ms,
    connectionTimeout: maybe(ms),
    strictExpiry: fc.boolean(),
    validateConnection: fc.constantFrom(true, false, 'socket' as const),
    options: fc.record(
      { appName: fc.constantFrom('api', 'job'), useUTC: fc.boolean(), trustServerCertificate: maybe(fc.boolean()) },
      { requiredKeys: [] },
    ),
    pool: fc.record(
      {
        max: fc.integer({ min: 5, max: 50 }),
        min: fc.integer({ min: 0, max: 5 }),
        idleTimeoutMillis: ms,
        maxAgeMillis: fc.nat(100_000),
        overlap: fc.integer({ min: 0, max: 3 }),
        resetSession: fc.constantFrom('always' as const, 'never' as const),
      },
      { requiredKeys: [] },
    ),
  },
  { requiredKeys: [] },
);

const inheriting = Object.keys(COPIES).filter((name) => name.startsWith('Object.create'));
const others = Object.keys(COPIES).filter((name) => !inheriting.includes(name));
/** What inherits or hides comes last: a copy of its own enumerable properties is an empty config, whatever we do. */
const copies = fc
  .tuple(fc.array(fc.constantFrom(...others), { maxLength: 3 }), fc.constantFrom(undefined, ...inheriting))
  .map(([names, last]) => (last === undefined ? names : [...names, last]));

/** What a config means to the pool, and the token that its logins get. */
async function meaningOf(given: TokenPoolConfig): Promise<object> {
  const { configuration, pool, strictExpiry, validateConnection, source } = settingsFrom(given);
  const answer = await source?.tokens.get(source.scope);
  return { configuration, pool, strictExpiry, validateConnection, scope: source?.scope, token: answer?.id };
}

async function failureOf(work: () => unknown): Promise<unknown> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return error;
  }
}

/** The copies one after the other; undefined where the copy itself fails, as a structured clone of a function does. */
function copied(value: object, names: string[]): object | undefined {
  try {
    return names.reduce((each, name) => (COPIES[name] as Copy)(each), value);
  } catch (error) {
    if ((error as Error).name === 'DataCloneError') return undefined;
    throw error;
  }
}

test.each(Object.keys(CREDENTIALS))('any copy of a config means the same or says why not: %s', async (name) => {
  const credential = CREDENTIALS[name] as () => object;
  await fc.assert(
    fc.asyncProperty(config, copies, async (settings, names) => {
      const original = {
        server: 'localhost',
        scope: SCOPE,
        ...settings,
        authentication: credential(),
      } as TokenPoolConfig;
      const before = inspect(original, { depth: 9, showHidden: true });
      // Merging over other settings adds those.
      const expected = await meaningOf(
        names.includes('lodash merge over other settings')
          ? ({ requestTimeout: 5_000, ...original, pool: { max: 20, ...original.pool } } as TokenPoolConfig)
          : original,
      );
      const copy = copied(original, names) as TokenPoolConfig | undefined;
      if (copy === undefined) return;
      const error = await failureOf(async () => expect(await meaningOf(copy)).toEqual(expected));
      if (error !== undefined && !(error instanceof ConfigurationError)) throw error;
      // JSON has no functions; every other copy has them.
      if (name === 'a function' && !names.includes('JSON')) expect(error).toBeUndefined();
      expect(inspect(original, { depth: 9, showHidden: true })).toBe(before);
    }),
    { numRuns: 60, seed: 1 },
  );
});

test('any copy of a config means the same to withTokenRefresh and to the drop-in', async () => {
  const keyed = (given: Record<string, unknown>) => ({
    server: given.server,
    port: given.port,
    database: given.database,
    requestTimeout: given.requestTimeout,
    pool: JSON.stringify(given.pool),
    options: JSON.stringify(given.options),
  });
  await fc.assert(
    fc.asyncProperty(config, copies, async (settings, names) => {
      fc.pre(!names.includes('lodash merge over other settings'));
      const original = { server: 'localhost', scope: SCOPE, ...settings, authentication: async () => token() };
      const copy = copied(original, names);
      if (copy === undefined) return;
      for (const entry of [withTokenRefresh, (each: object) => new ConnectionPool(each as never).config] as const) {
        const read = (each: object) => keyed((entry as (given: object) => Record<string, unknown>)(each));
        const error = await failureOf(() => expect(read(copy)).toEqual(read(original)));
        if (error !== undefined && !(names.includes('JSON') && error instanceof ConfigurationError)) throw error;
      }
    }),
    { numRuns: 150, seed: 1 },
  );
});
