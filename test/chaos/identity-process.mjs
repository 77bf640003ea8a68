// An identity provider that can be killed: same address, tenant and application each time it is started.
import { startEntraEmulator } from 'mssql-token-pool/testing';

const { port, tenantId, app, tokenLifetimeSeconds, signingKey } = JSON.parse(process.env.CHAOS);
const entra = await startEntraEmulator({ port, tenantId, app, tokenLifetimeSeconds, signingKey });
process.on('message', () => process.send?.({ requests: entra.requests.length }));
process.on('disconnect', () => process.exit());
process.send?.({ url: entra.url });
