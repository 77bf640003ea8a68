// A web API that queries SQL Server as the calling user: Express and Kysely on one pool per user.
import express from 'express';
import { Kysely, MssqlDialect, sql } from 'kysely';
import { createTokenPools } from 'mssql-token-pool';
import { dialectConfig } from 'mssql-token-pool/kysely';
import { callAs } from './call-as.mjs';
import { withEmulators } from './with-emulators.mjs';

const emulators = await withEmulators();

// ---- the app ----
const pools = createTokenPools({ ...emulators.config, pool: { max: 5 }, maxConnections: 20 });
// One Kysely instance for all users; each query runs on a connection of the current user.
const db = new Kysely({ dialect: new MssqlDialect(dialectConfig(pools.current)) });

const app = express();

// Validate the token first, e.g. with express-oauth2-jwt-bearer.
app.use((request, response, next) => {
  const [, userAssertion] = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '') ?? [];
  if (userAssertion === undefined) response.sendStatus(401);
  else pools.run({ userAssertion }, next);
});

app.get('/me', async (_request, response) => {
  const { rows } = await sql`SELECT SUSER_SNAME() AS name`.execute(db);
  response.json(rows[0]);
});

const server = app.listen(0, '127.0.0.1');
await new Promise((resolve) => server.once('listening', resolve));

// ---- its users ----
await callAs(emulators, `http://127.0.0.1:${server.address().port}/me`);
server.close();
server.closeAllConnections();
await pools.close();
await emulators.stop();
