import { Console } from 'node:console';
import { Writable } from 'node:stream';
import { format, inspect } from 'node:util';
import { Sequelize as Sequelize7 } from '@sequelize/core';
import { MsSqlDialect } from '@sequelize/mssql';
import knex from 'knex';
import { Kysely, MssqlDialect } from 'kysely';
import stock from 'mssql';
import { Sequelize } from 'sequelize';
import { DataSource } from 'typeorm';
import { describe, expect, test } from 'vitest';
import {
  ConfigurationError,
  createCredential,
  createTokenPool,
  createTokenPools,
  encryptedTokenStore,
  TokenCache,
  withTokenRefresh,
} from '../../../src/index.js';
import { ConnectionPool } from '../../../src/mssql/index.js';
import { knexConfig } from '../../../src/orm/knex.js';
import { dialectConfig } from '../../../src/orm/kysely.js';
import { adapterConfig } from '../../../src/orm/prisma.js';
import { sequelize7Options, sequelizeOptions } from '../../../src/orm/sequelize.js';
import { dataSourceOptions } from '../../../src/orm/typeorm.js';
import { plantedSecret, secretIn } from '../secrets.js';

const tenantId = '72f988bf-86f1-41af-91ab-2d7cd011db47';
const clientId = '11111111-2222-4333-8444-555555555555';

/** Each kind of login, with the secret in it. */
const LOGINS: Readonly<Record<string, (secret: string) => object>> = {
  'a SQL login': (password) => ({ user: 'app', password }),
  'a SQL login in authentication': (password) => ({
    authentication: { type: 'default', options: { userName: 'app', password } },
  }),
  NTLM: (password) => ({ authentication: { type: 'ntlm', options: { domain: 'CORP', userName: 'me', password } } }),
  'a client secret': (clientSecret) => ({ authentication: { tenantId, clientId, clientSecret } }),
  "a client secret in tedious's form": (clientSecret) => ({
    authentication: {
      type: 'azure-active-directory-service-principal-secret',
      options: { tenantId, clientId, clientSecret },
    },
  }),
  "a client secret in mssql's flat form": (clientSecret) => ({
    authentication_type: 'azure-active-directory-service-principal-secret',
    tenantId,
    clientId,
    clientSecret,
  }),
  "a password in tedious's form": (password) => ({
    authentication: {
      type: 'azure-active-directory-password',
      options: { tenantId, clientId, userName: 'u@t', password },
    },
  }),
  'an access token': (secret) => ({
    authentication: { type: 'azure-active-directory-access-token', options: { token: jwt(secret) } },
  }),
};

function jwt(signature: string): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const exp = Math.floor(Date.now() / 1000) + 3_600;
  return `${part({ alg: 'RS256' })}.${part({ oid: clientId, tid: tenantId, exp })}.${signature}`;
}

/** What an application keeps of each library, and may print. None of it opens a connection. */
const OBJECTS: Readonly<Record<string, (config: never) => object>> = {
  createTokenPool: (config) => createTokenPool(config),
  createTokenPools: (config) => {
    const { authentication, ...rest } = config as { authentication?: object };
    const pools = createTokenPools(rest as never);
    return authentication === undefined ? pools : { pools, one: pools.for({ authentication } as never) };
  },
  'the drop-in': (config) => new ConnectionPool(config),
  'stock mssql with withTokenRefresh': (config) => new stock.ConnectionPool(withTokenRefresh(config) as never),
  'Sequelize 6': (config) => new Sequelize({ ...sequelizeOptions(config), databaseVersion: '16' } as never),
  'Sequelize 7': (config) => new Sequelize7({ dialect: MsSqlDialect, ...sequelize7Options(config) } as never),
  knex: (config) => knex(knexConfig(config)),
  Kysely: (config) => new Kysely({ dialect: new MssqlDialect(dialectConfig(config)) }),
  TypeORM: (config) => new DataSource(dataSourceOptions(config) as never),
  'the config for Prisma': (config) => adapterConfig(config),
};

/** Every way in which an application prints an object, or carries it to where it is printed. */
function everyPrint(object: object): Record<string, string> {
  let table = '';
  const stream = new Writable({
    write(chunk, _, done) {
      table += String(chunk);
      done();
    },
  });
  new Console(stream).table([object]);
  return {
    inspect: inspect(object, { depth: 12, showHidden: true, maxStringLength: null, maxArrayLength: null }),
    'inspect with getters': attempt(() => inspect(object, { depth: 4, getters: 'get' })),
    'console.table': table,
    'console.log': format('%s %o %O %j', ...Array(4).fill(object)),
    'JSON.stringify': attempt(() => JSON.stringify(object)),
    String: String(object),
    structuredClone: attempt(() => inspect(structuredClone(object), { depth: 12 })),
    'entries of the object': attempt(() => inspect(Object.entries(object), { depth: 12 })),
  };
}

/** A cyclic object has no JSON, and a function cannot be cloned; what these errors say is printed too. */
function attempt(print: () => string): string {
  try {
    return print() ?? '';
  } catch (error) {
    return inspect(error);
  }
}

/** A pool of many identities has no login of its own; that error is printed as well. */
function created(create: () => object | undefined): object {
  try {
    return create() ?? {};
  } catch (error) {
    if (error instanceof ConfigurationError) return error;
    throw error;
  }
}

describe.each(Object.keys(OBJECTS))('%s', (library) => {
  test.each(Object.keys(LOGINS))('that is printed does not show %s', (login) => {
    const secret = plantedSecret(40);
    const config = { server: 'db.example', database: 'app', ...LOGINS[login]?.(secret) };
    const shown = everyPrint(created(() => OBJECTS[library]?.(config as never)));
    const leaks = Object.entries(shown).filter(([, text]) => secretIn(text, [secret]) !== undefined);
    expect(leaks.map(([way]) => way)).toEqual([]);
  });
});

test('printing a credential, a token cache or an encrypted store does not show its secrets', () => {
  const secret = plantedSecret(40);
  const key = Buffer.from(plantedSecret(32));
  const credential = createCredential({ tenantId, clientId, clientSecret: secret });
  const memory = { get: async () => undefined, set: async () => {}, lease: async () => undefined };
  const store = encryptedTokenStore(memory as never, { keys: key.toString('hex') as never });
  for (const object of [credential, new TokenCache(credential), store]) {
    for (const text of Object.values(everyPrint(object))) {
      expect(secretIn(text, [secret, key.toString('hex'), key.toString('latin1')])).toBeUndefined();
    }
  }
});
