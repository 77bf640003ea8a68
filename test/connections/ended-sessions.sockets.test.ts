import stock from 'mssql';
import { QueryTypes, Sequelize } from 'sequelize';
import { describe, expect, test } from 'vitest';
import type { TokenPoolConfig } from '../../src/connections/config.js';
import { createTokenPool, withTokenRefresh } from '../../src/index.js';
import sql from '../../src/mssql/index.js';
import { sequelizeOptions } from '../../src/orm/sequelize.js';
import { named } from '../support/named.js';
import { query } from '../support/query.js';
import { type ScriptedServer, scriptedServer, tokens } from './scripted-server.js';

const credential = {
  getToken: async () => ({ token: `token-${Math.random()}`, expiresOnTimestamp: Date.now() + 3_600_000 }),
};

/** A server that works, until `armed`: the session of the next request ends, and should receive no other request. */
async function endingServer(number: number, severity: number, login: 'token' | 'password' = 'token') {
  const sessions = { armed: false, ended: undefined as number | undefined, requestsAfterTheEnd: 0, logins: 0 };
  const server = await scriptedServer(async (client) => {
    if (login === 'token') {
      client.send(tokens.fedAuthInfo());
      await client.read();
    }
    sessions.logins += 1;
    client.send(Buffer.concat([tokens.loginAck(), tokens.done()]));
    await client.read();
    client.send(tokens.done());
    for (;;) {
      await client.read();
      if (sessions.ended === client.index) sessions.requestsAfterTheEnd += 1;
      const ends = sessions.armed;
      sessions.armed = false;
      if (ends) sessions.ended = client.index;
      client.send(ends ? Buffer.concat([tokens.error(number, severity, 'The end.'), tokens.done(2)]) : tokens.done());
    }
  });
  return { server, sessions };
}

const configFor = ({ port }: ScriptedServer, rest: Partial<TokenPoolConfig> = {}): TokenPoolConfig =>
  ({
    server: 'localhost',
    port,
    authentication: credential,
    options: { trustServerCertificate: true },
    pool: { max: 1 },
    ...rest,
  }) as TokenPoolConfig;

interface Client {
  query(): Promise<unknown>;
  close(): Promise<unknown>;
}
type Way = { name: string; open(config: TokenPoolConfig): Promise<Client> };

const stockPool = async (config: stock.config): Promise<Client> => {
  const pool = await new stock.ConnectionPool(config).connect();
  return { query: () => pool.query('SELECT 1'), close: () => pool.close() };
};

const ways: Way[] = [
  {
    name: 'withTokenRefresh, validateConnection: true',
    open: (config) => stockPool(withTokenRefresh({ ...config, validateConnection: true }) as unknown as stock.config),
  },
  ...(['socket', false] as const).map((validateConnection) => ({
    name: `withTokenRefresh, validateConnection: ${validateConnection}`,
    open: (config: TokenPoolConfig) =>
      stockPool(withTokenRefresh({ ...config, validateConnection }) as unknown as stock.config),
  })),
  {
    name: 'Sequelize 6',
    async open(config) {
      const options = sequelizeOptions(config as never);
      const sequelize = new Sequelize({ ...options, logging: false, databaseVersion: '16.0.0' } as never);
      return {
        query: () => sequelize.query('SELECT 1', { type: QueryTypes.RAW }),
        close: () => sequelize.close(),
      };
    },
  },
  {
    name: 'the drop-in',
    async open(config) {
      const pool = await new sql.ConnectionPool(config).connect();
      return { query: () => pool.query('SELECT 1'), close: () => pool.close() };
    },
  },
  {
    name: 'createTokenPool',
    async open(config) {
      const pool = createTokenPool(config);
      return { query: () => pool.use((connection) => query(connection, 'SELECT 1')), close: () => pool.close() };
    },
  },
];

describe.each(named(ways))('%s', (_, { open }) => {
  test.each([
    ['the token is refused on a live session', 37396, 14],
    ['an error ends the session', 3624, 20],
    ['the session was killed', 596, 16],
    ['the server shuts down', 6005, 10],
  ])('does not use a session again after %s (%i)', async (_, number, severity) => {
    const { server, sessions } = await endingServer(number, severity);
    await using _server = server;
    const client = await open(configFor(server));
    try {
      await client.query();
      const loginsBefore = sessions.logins;
      sessions.armed = true;
      await client.query().catch(() => undefined);
      expect(sessions.ended).toBeDefined();
      for (let run = 0; run < 3; run += 1) await client.query();
      expect(sessions.requestsAfterTheEnd).toBe(0);
      expect(sessions.logins).toBe(loginsBefore + 1);
    } finally {
      await client.close();
    }
  });
});

test.each([true, 'socket', false] as const)(
  'a SQL login through withTokenRefresh, validateConnection: %s, does not use a killed session again',
  async (validateConnection) => {
    const { server, sessions } = await endingServer(596, 16, 'password');
    await using _server = server;
    const login = { authentication: undefined, user: 'app', password: 'a password', validateConnection };
    const client = await stockPool(withTokenRefresh(configFor(server, login)) as unknown as stock.config);
    try {
      await client.query();
      const loginsBefore = sessions.logins;
      sessions.armed = true;
      await client.query().catch(() => undefined);
      for (let run = 0; run < 3; run += 1) await client.query();
      expect(sessions.requestsAfterTheEnd).toBe(0);
      expect(sessions.logins).toBe(loginsBefore + 1);
    } finally {
      await client.close();
    }
  },
);
