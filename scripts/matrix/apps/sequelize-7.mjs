import { Sequelize } from '@sequelize/core';
import { MsSqlDialect } from '@sequelize/mssql';
import { sequelize7Options } from 'mssql-token-pool/sequelize';
import { config, cross } from './cross.cjs';

const options = { ...sequelize7Options(config), databaseVersion: '16.0.0', logging: false };
const sequelize = new Sequelize({ dialect: MsSqlDialect, ...options });
await cross({ query: () => sequelize.query('SELECT id, item FROM orders'), close: () => sequelize.close() });
