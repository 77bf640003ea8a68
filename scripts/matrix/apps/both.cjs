// Both module systems in one process: one set of classes, one token request.
const assert = require('node:assert');
const cjs = require('mssql-token-pool');
const sql = require('mssql-token-pool/mssql');

Promise.all([import('mssql-token-pool'), import('mssql-token-pool/mssql'), import('mssql-token-pool/testing')]).then(
  async ([esm, esmSql, testing]) => {
    for (const name of Object.keys(cjs)) assert.strictEqual(esm[name], cjs[name], name);
    assert.strictEqual(esmSql.default, sql);
    assert.strictEqual(testing.startEntraEmulator, require('mssql-token-pool/testing').startEntraEmulator);
    const { tenantId, clientId, clientSecret, authority } = JSON.parse(process.env.MATRIX_CONFIG).authentication;
    const options = { tenantId, clientId, clientSecret, authority };
    const scope = 'https://database.windows.net/.default';
    const get = ({ sharedTokenCache, createCredential }) => sharedTokenCache(createCredential(options)).get(scope);
    const [a, b] = await Promise.all([get(cjs), get(esm)]);
    assert.strictEqual(a.token, b.token);
    console.log('same');
  },
);
