import { Sequelize as Sequelize7 } from '@sequelize/core';
import { MsSqlDialect } from '@sequelize/mssql';
import { Sequelize } from 'sequelize';
import { expect, test } from 'vitest';
import { sequelize7Options, sequelizeOptions } from '../../src/orm/sequelize.js';
import { everythingPrinted } from '../hostile/secrets.js';
import { site } from '../support/pool.js';

test.each(['6', '7'])('Sequelize %s logs in with a password that neither it nor its options show', async (version) => {
  await using here = await site();
  const { server } = here;
  const config = server.config(server.sqlLogin);
  const password = (config as { password?: string }).password ?? '';
  expect(password).not.toBe('');
  const more = { databaseVersion: '16.0.0', logging: false } as const;
  const options = version === '6' ? sequelizeOptions(config) : sequelize7Options(config);
  const sequelize =
    version === '6'
      ? new Sequelize({ ...sequelizeOptions(config), ...more } as never)
      : (new Sequelize7({
          dialect: MsSqlDialect,
          ...sequelize7Options(config),
          ...more,
        } as never) as unknown as Sequelize);
  expect(await sequelize.query('SELECT 1 AS one', { plain: true })).toEqual({ one: 1 });
  for (const object of [options, sequelize]) expect(everythingPrinted(object)).not.toContain(password);
  await sequelize.close();
});
