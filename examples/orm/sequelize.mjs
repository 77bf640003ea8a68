import { sequelizeOptions } from 'mssql-token-pool/sequelize';
import { QueryTypes, Sequelize } from 'sequelize';
import { crossingExpiries } from './crossing-expiries.mjs';

await crossingExpiries(async (config) => {
  const sequelize = new Sequelize({ ...sequelizeOptions(config), databaseVersion: '16.0.0', logging: false });
  return {
    orders: () => sequelize.query('SELECT id, item FROM orders', { type: QueryTypes.SELECT }),
    close: () => sequelize.close(),
  };
});
