// MSAL keeps the kind of endpoint in a static field, so each kind needs a separate process.
import { ManagedIdentityApplication } from '@azure/msal-node';

const { resource, choices } = JSON.parse(process.argv[2]);
const outcomes = [];
for (const managedIdentityIdParams of choices) {
  const app = new ManagedIdentityApplication({ managedIdentityIdParams, system: { disableInternalRetries: true } });
  try {
    const { accessToken, expiresOn } = await app.acquireToken({ resource });
    outcomes.push({ accessToken, expiresOn: expiresOn.getTime() });
  } catch ({ errorCode, errorMessage }) {
    outcomes.push({ error: { errorCode, errorMessage } });
  }
}
console.log(JSON.stringify(outcomes));
