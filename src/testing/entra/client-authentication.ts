import type { AppRegistration } from './directory.js';
import { refusals } from './refusal.js';
import { basicCredentials, callingApp, type TokenRequest } from './token-request.js';

/** The application that asks, having proved who it is. */
export function authenticatedApp(request: TokenRequest): AppRegistration {
  const app = callingApp(request);
  const secret = request.form.get('client_secret') ?? basicCredentials(request.authorization)?.secret;
  if (secret === undefined) throw refusals.missingCredential();
  checkSecret(app, secret, request.issuer.now);
  return app;
}

function checkSecret(app: AppRegistration, secret: string, now: number): void {
  if (app.clientSecret === undefined || secret !== app.clientSecret) throw refusals.wrongSecret(app.clientId);
  if (app.secretExpiresOn !== undefined && app.secretExpiresOn.getTime() <= now) {
    throw refusals.expiredSecret(app.clientId);
  }
}
