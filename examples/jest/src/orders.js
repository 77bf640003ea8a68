const sql = require('mssql-token-pool/mssql');

exports.openOrders = async function openOrders(config) {
  const pool = await new sql.ConnectionPool(config).connect();
  return {
    async of(customer) {
      const request = pool.request().input('customer', sql.Int, customer);
      return (await request.query('SELECT id, item FROM orders WHERE customer = @customer')).recordset;
    },
    close: () => pool.close(),
  };
};
