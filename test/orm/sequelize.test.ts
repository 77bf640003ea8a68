import { Sequelize } from 'sequelize';
import { sequelizeOptions } from '../../src/orm/sequelize.js';
import { sequelizeLibrary } from './sequelize-library.js';
import { ormSuite } from './suite.js';
import { versionOf } from './version-of.js';

ormSuite({
  name: 'Sequelize 6.37',
  version: versionOf('sequelize'),
  seam: '`dialectModule` and `pool.validate` (public)',
  pool: 'its own',
  tables: '`sync()`',
  relations: 'models',
  open: async (config) => sequelizeLibrary(new Sequelize({ ...sequelizeOptions(config), logging: false })),
});
