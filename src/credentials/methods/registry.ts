// Every credential method. A new one needs its own file, a line here, and a section in docs/which-credential.md.
export { accessTokenMethod } from './access-token.js';
export { agentIdentityMethod } from './agent-identity.js';
export { chainMethod } from './chain.js';
export { clientAssertionMethod } from './client-assertion.js';
export { azureCliMethod, azureDeveloperCliMethod, azurePowershellMethod } from './developer-tools.js';
export { deviceCodeMethod } from './device-code.js';
export { environmentMethod } from './environment.js';
export { federatedMethod } from './federated.js';
export { interactiveMethod } from './interactive.js';
export { managedIdentityMethod } from './managed-identity.js';
export { onBehalfOfMethod } from './on-behalf-of.js';
export { passwordMethod } from './password.js';
export { refreshTokenMethod } from './refresh-token.js';
export { servicePrincipalCertificateMethod } from './service-principal-certificate.js';
export { servicePrincipalSecretMethod } from './service-principal-secret.js';
export { tokenCredentialMethod } from './token-credential.js';
export { workloadIdentityMethod } from './workload-identity.js';
