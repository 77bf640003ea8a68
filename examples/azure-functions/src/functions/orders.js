// GET /api/orders?customer=7, in the v4 programming model. The application setting SQL_CONNECTION_STRING contains no secret:
// Server=tcp:example.database.windows.net;Database=shop;Authentication=Active Directory Managed Identity;Encrypt=True
const { app } = require('@azure/functions');
const sql = require('mssql-token-pool/mssql');

// One pool for the process, shared by all invocations. If it fails to start, the next invocation tries again.
let connecting;
function pool() {
  connecting ??= new sql.ConnectionPool(process.env.SQL_CONNECTION_STRING).connect().catch((error) => {
    connecting = undefined;
    throw error;
  });
  return connecting;
}

async function orders(request, context) {
  const customer = Number(request.query.get('customer'));
  if (!Number.isInteger(customer)) return { status: 400, jsonBody: { error: 'customer is not a number' } };
  const connected = await pool();
  const { recordset } = await connected
    .request()
    .input('customer', sql.Int, customer)
    .query('SELECT id, item FROM orders WHERE customer = @customer');
  context.debug(`${recordset.length} orders`);
  return { jsonBody: recordset };
}

app.http('orders', { methods: ['GET'], authLevel: 'function', handler: orders });

app.hook.appTerminate(async () => {
  await (await connecting)?.close();
});

module.exports = { orders };
