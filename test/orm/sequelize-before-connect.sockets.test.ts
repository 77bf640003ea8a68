import { type Options, Sequelize } from 'sequelize';
import { expect, test } from 'vitest';
import { type SequelizeConfig, sequelizeOptions } from '../../src/orm/sequelize.js';
import { site } from '../support/pool.js';

function open(config: SequelizeConfig): Sequelize {
  return new Sequelize({ ...sequelizeOptions(config), databaseVersion: '16.0.0', logging: false } as Options);
}

test.each(['a token', 'a SQL login'])('beforeConnect is called with each connection, with %s', async (login) => {
  await using here = await site();
  const { server, entra } = here;
  const way = login === 'a token' ? { authentication: entra.credential() } : server.sqlLogin;
  const seen: object[] = [];
  const config = { ...server.config(way), beforeConnect: (connection: object) => seen.push(connection) };
  const sequelize = open(config as unknown as SequelizeConfig);
  expect(await sequelize.query('SELECT 1 AS one', { plain: true })).toEqual({ one: 1 });
  expect(seen).toHaveLength(1);
  await sequelize.close();
});

test('a beforeConnect that throws fails the login', async () => {
  await using here = await site();
  const config = here.server.config({
    authentication: here.entra.credential(),
    beforeConnect() {
      throw new Error('mine');
    },
  });
  const sequelize = open(config);
  await expect(sequelize.query('SELECT 1 AS one')).rejects.toThrow('mine');
  expect(here.server.logins).toEqual([]);
  await sequelize.close();
});
