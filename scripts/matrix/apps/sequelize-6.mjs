import { sequelizeOptions } from 'mssql-token-pool/sequelize';
import { Sequelize } from 'sequelize';
import { config, cross } from './cross.cjs';

const sequelize = new Sequelize({ ...sequelizeOptions(config), databaseVersion: '16.0.0', logging: false });
await cross({ query: () => sequelize.query('SELECT id, item FROM orders'), close: () => sequelize.close() });
