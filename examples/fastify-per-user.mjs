// A web API that queries SQL Server as the calling user: Fastify and knex on one pool per user.
import Fastify from 'fastify';
import knex from 'knex';
import { createTokenPools } from 'mssql-token-pool';
import { knexConfig } from 'mssql-token-pool/knex';
import { callAs } from './call-as.mjs';
import { withEmulators } from './with-emulators.mjs';

const emulators = await withEmulators();

// ---- the app ----
const pools = createTokenPools({ ...emulators.config, pool: { max: 5 }, maxConnections: 20 });
// One knex instance for all users; each query runs on a connection of the current user.
const db = knex(knexConfig(pools.current));

const fastify = Fastify();

// Validate the token first, e.g. with @fastify/jwt.
fastify.addHook('onRequest', (request, reply, done) => {
  const [, userAssertion] = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '') ?? [];
  if (userAssertion === undefined) reply.code(401).send();
  else pools.run({ userAssertion }, done);
});

fastify.get('/me', async () => {
  const [row] = await db.raw('SELECT SUSER_SNAME() AS name');
  return row;
});

fastify.addHook('onClose', () => pools.close());
const url = await fastify.listen({ port: 0, host: '127.0.0.1' });

// ---- its users ----
await callAs(emulators, `${url}/me`);
fastify.server.closeAllConnections();
await fastify.close();
await emulators.stop();
