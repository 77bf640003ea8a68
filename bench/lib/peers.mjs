import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/** The very copies that the packages in comparison bring with them. */
export const mssql = require('mssql');
export const tarn = createRequire(require.resolve('mssql'))('tarn');
export const tedious = createRequire(require.resolve('mssql'))('tedious');
export const genericPool = require('generic-pool');
export const sequelizePool = createRequire(require.resolve('sequelize'))('sequelize-pool');
