// MSAL keeps the kind of endpoint in a static field, so each kind needs a process of its own.
import { ManagedIdentityApplication } from '@azure/msal-node';

const { resource, ...managedIdentityIdParams } = JSON.parse(process.argv[2]);
const app = new ManagedIdentityApplication({ managedIdentityIdParams, system: { disableInternalRetries: true } });
try {
  const { accessToken, expiresOn } = await app.acquireToken({ resource });
  console.log(JSON.stringify({ accessToken, expiresOn: expiresOn.getTime() }));
} catch (error) {
  console.log(JSON.stringify({ error: { ...error, message: error.message } }));
}
