import { createRequire } from 'node:module';
import stock from 'mssql';
import { Sequelize } from 'sequelize';
import { describe, expect, test } from 'vitest';
import { createTokenPool, withTokenRefresh } from '../../src/index.js';
import sql from '../../src/mssql/index.js';
import { sequelizeOptions } from '../../src/orm/sequelize.js';
import { site } from '../support/pool.js';

const { cloneDeep, merge } = createRequire(import.meta.url)('lodash') as {
  cloneDeep<T>(value: T): T;
  merge<T>(target: object, ...sources: T[]): T;
};

/** Structured like the credentials of @azure/identity: methods on the prototype, some private state. */
class ForeignCredential {
  static requests = 0;
  readonly tenantId = 'contoso';
  readonly #secret = '';
  readonly #inner: { getToken(scope: string): Promise<unknown> };

  constructor(inner: { getToken(scope: string): Promise<unknown> }) {
    this.#inner = inner;
  }

  getToken(scope: string): Promise<unknown> {
    ForeignCredential.requests += 1;
    return this.#inner.getToken(`${scope}${this.#secret}`);
  }
}

/** The same with TypeScript's `private`: a copy of its fields keeps them, one of its methods does not. */
class HelperCredential {
  static requests = 0;
  readonly tenantId = 'contoso';

  getToken(): Promise<unknown> {
    ForeignCredential.requests += 1;
    return this.helper();
  }

  helper(): Promise<unknown> {
    throw new Error('Not called by the copies below.');
  }
}

type Copy = <T>(value: T) => T;

/** Own properties only, as rfdc copies. */
const ownProperties: Copy = (value) =>
  (typeof value !== 'object' || value === null
    ? value
    : Array.isArray(value)
      ? value.map(ownProperties)
      : Object.fromEntries(Object.entries(value).map(([key, each]) => [key, ownProperties(each)]))) as never;

/** Copies inherited properties as own ones: `for ... in`, or a hand-written list of methods. */
const withGetToken: Copy = (value) =>
  (typeof (value as { getToken?: unknown })?.getToken === 'function'
    ? { getToken: (value as { getToken: unknown }).getToken }
    : typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).map(([key, each]) => [key, withGetToken(each)]))
      : value) as never;

const copies: [string, Copy][] = [
  ['lodash cloneDeep', cloneDeep],
  ['lodash merge of a clone', (value) => merge({}, cloneDeep(value)) as never],
  ['JSON', (value) => JSON.parse(JSON.stringify(value))],
  ['a copy of own properties (rfdc)', ownProperties],
  ['a structured clone', structuredClone],
  ['a copy of getToken alone', withGetToken],
];

const forms: [string, (credential: unknown) => unknown][] = [
  ['as authentication', (credential) => credential],
  ["in tedious's form", (credential) => ({ type: 'token-credential', options: { credential } })],
];

const clients: [string, (config: never) => Promise<unknown>][] = [
  [
    'createTokenPool',
    async (config) => {
      await using pool = createTokenPool(config);
      return await pool.use(() => undefined);
    },
  ],
  ['the drop-in', (config) => new sql.ConnectionPool(config).connect()],
  ['withTokenRefresh', async (config) => new stock.ConnectionPool(withTokenRefresh(config) as never).connect()],
  [
    'Sequelize 6',
    async (config) => new Sequelize({ ...sequelizeOptions(config), logging: false } as never).authenticate(),
  ],
];

/** The error itself and its cause. */
function chainOf(error: unknown): { code?: unknown; message?: string; hint?: string }[] {
  if (!(error instanceof Error)) return [];
  const { cause, originalError, original } = error as { cause?: unknown; originalError?: unknown; original?: unknown };
  return [error, ...chainOf(cause ?? originalError ?? original)];
}

describe.each(clients)('%s', (_client, connect) => {
  describe.each(forms)('a credential %s', (_form, form) => {
    test.each(copies)('through %s is reported as a broken copy, and not retried', async (_, copy) => {
      await using s = await site();
      for (const credential of [new ForeignCredential(s.entra.credential()), new HelperCredential()]) {
        ForeignCredential.requests = 0;
        const authentication = copy(form(credential));
        if (credential instanceof HelperCredential && isIntact(authentication)) continue;
        const config = { ...s.server.config(), authentication, pool: { acquireTimeoutMillis: 5_000 } };
        const error = await connect(config as never).catch((e: unknown) => e);
        const chain = chainOf(error);
        expect(chain.map(({ code }) => code)).toContain('ERR_CONFIGURATION');
        expect(chain.map(({ message, hint }) => `${message} ${hint}`).join()).toMatch(/cop(y|ies)/i);
        expect(ForeignCredential.requests).toBeLessThanOrEqual(1);
      }
      expect(s.entra.requests).toEqual([]);
      expect(s.server.logins.filter(({ accepted }) => accepted)).toEqual([]);
    });
  });
});

/** lodash keeps the prototype, so this credential survives. */
function isIntact(authentication: unknown): boolean {
  const { options } = authentication as { options?: { credential: unknown } };
  return (options?.credential ?? authentication) instanceof HelperCredential;
}
