// A separate process, because NODE_EXTRA_CA_CERTS is read only when Node starts.
import { ConfidentialClientApplication } from '@azure/msal-node';

const { auth, scopes } = JSON.parse(process.argv[2]);
const { accessToken } = await new ConfidentialClientApplication({ auth }).acquireTokenByClientCredential({ scopes });
process.stdout.write(accessToken);
