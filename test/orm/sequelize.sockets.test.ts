import * as core from '@sequelize/core';
import { MsSqlDialect } from '@sequelize/mssql';
import { DataTypes, Sequelize } from 'sequelize';
import { sequelize7Options, sequelizeOptions } from '../../src/orm/sequelize.js';
import { ANY_TRANSACTION_NAME, SP_HELPINDEX } from './abilities.js';
import { sequelizeLibrary } from './sequelize-library.js';
import { ormSuite } from './suite.js';
import { versionOf } from './version-of.js';

const sequelizeSuite = {
  pool: 'its own',
  tables: '`sync()`',
  relations: 'models',
  needs: { transactions: ANY_TRANSACTION_NAME },
} as const;

ormSuite({
  ...sequelizeSuite,
  needs: { ...sequelizeSuite.needs, tables: SP_HELPINDEX },
  name: 'Sequelize 6.37',
  version: versionOf('sequelize'),
  seam: '`dialectModule` and `pool.validate` (public)',
  open: async (config) => sequelizeLibrary(new Sequelize({ ...sequelizeOptions(config), logging: false }), DataTypes),
});

ormSuite({
  ...sequelizeSuite,
  name: 'Sequelize 7 alpha',
  version: versionOf('@sequelize/core'),
  seam: '`tediousModule` and `pool.validate` (public)',
  async open(config) {
    const sequelize = new core.Sequelize({
      dialect: MsSqlDialect,
      ...(sequelize7Options(config) as object),
      disableClsTransactions: true,
      logging: false,
    } as core.Options<MsSqlDialect>);
    // The types of Sequelize 6 do for what the suite uses.
    return sequelizeLibrary(sequelize as unknown as Sequelize, core.DataTypes as unknown as typeof DataTypes);
  },
});
