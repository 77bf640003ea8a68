import { checkClientAssertion } from './client-assertion.js';
import type { AppRegistration } from './directory.js';
import { refuse } from './refusal.js';
import type { ClientAuthentication } from './token-issuer.js';
import { basicCredentials, callingApp, type TokenRequest } from './token-request.js';

/** The requesting application and how it authenticated. */
export interface Caller {
  app: AppRegistration;
  authentication: ClientAuthentication;
}

/** The requesting application. A public client need not authenticate, but an attempt to do so must succeed. */
export function caller(request: TokenRequest): Caller {
  const { form, authorization } = request;
  const tries = form.has('client_secret') || form.has('client_assertion') || authorization !== undefined;
  if (tries) return authenticatedCaller(request);
  const app = callingApp(request);
  if (!app.publicClient) throw refuse(7000218);
  return { app, authentication: 'none' };
}

/** The requesting application, which must authenticate. */
export function authenticatedCaller(request: TokenRequest): Caller {
  const app = callingApp(request);
  const assertion = request.form.get('client_assertion');
  if (assertion !== null) {
    checkClientAssertion(app, assertion, request);
    return { app, authentication: 'assertion' };
  }
  const secret = request.form.get('client_secret') ?? basicCredentials(request.authorization)?.secret;
  if (secret === undefined) throw refuse(7000218);
  checkSecret(app, secret, request.issuer.now);
  return { app, authentication: 'secret' };
}

function checkSecret(app: AppRegistration, secret: string, now: number): void {
  if (app.clientSecret === undefined || secret !== app.clientSecret) throw refuse(7000215, app.clientId);
  if (app.secretExpiresOn !== undefined && app.secretExpiresOn.getTime() <= now) throw refuse(7000222, app.clientId);
}
