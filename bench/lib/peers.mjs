import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/** The same copies that the compared packages depend on. */
export const mssql = require('mssql');
export const tarn = createRequire(require.resolve('mssql'))('tarn');
export const tedious = createRequire(require.resolve('mssql'))('tedious');
export const genericPool = require('generic-pool');
export const sequelizePool = createRequire(require.resolve('sequelize'))('sequelize-pool');
