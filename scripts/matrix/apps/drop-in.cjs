const sql = require('mssql-token-pool/mssql');
const { config, cross } = require('./cross.cjs');

sql.connect(config).then((pool) => cross({ query: () => pool.query`SELECT ${1} AS one`, close: () => sql.close() }));
