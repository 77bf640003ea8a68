import type { AppRegistration } from '../directory.js';
import { userWithPassword } from '../grants/password.js';
import type { HttpAnswer } from '../http-listener.js';
import { Refusal, refuse } from '../refusal.js';
import { requestedAccess } from '../requested-access.js';
import { callingApp, required, type TokenRequest } from '../token-request.js';
import { credentialFields, hidden, html, page, problem } from './page.js';

/** The fields that the user fills in; all others carry the application's request through the form. */
const FIELDS_OF_THE_PERSON = new Set(['username', 'password', 'decision']);

type AuthorizationRequest = TokenRequest & { readonly method: string };

/**
 * The authorization endpoint (RFC 6749 section 4.1.1) with its sign-in page. Errors are shown on the page until the
 * redirect URI is known to belong to the application; later ones are sent to that URI.
 */
export function authorize(request: AuthorizationRequest): HttpAnswer {
  let app: AppRegistration;
  try {
    app = callingApp(request);
    checkRedirectUri(app, required(request, 'redirect_uri'));
    checkResponseMode(request.form.get('response_mode'));
  } catch (error) {
    if (error instanceof Refusal) return errorPage(error);
    throw error;
  }
  try {
    return answer(request, app);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return sendBack(request, { error: error.error, error_description: `AADSTS${error.aadsts}: ${error.message}` });
  }
}

function answer(request: AuthorizationRequest, app: AppRegistration): HttpAnswer {
  const { form, method } = request;
  if (required(request, 'response_type') !== 'code') {
    throw refuse(700054, String(form.get('response_type')));
  }
  const access = requestedAccess(request);
  const challenge = codeChallenge(form);
  if (form.get('prompt') === 'none') throw refuse(50058);
  if (method !== 'POST') return signInPage(request, app);
  if (form.get('decision') === 'cancel') throw refuse(65004);
  try {
    const user = userWithPassword(request.directory, form.get('username') ?? '', form.get('password') ?? '');
    const amr = user.mfaRequired ? ['pwd', 'mfa'] : ['pwd'];
    const signIn = { user, clientId: app.clientId, tenantId: request.tenantId, access, amr };
    const redirectUri = required(request, 'redirect_uri');
    const nonce = form.get('nonce') ?? undefined;
    const code = request.authorizationCodes.issue({ signIn, redirectUri, nonce, challenge }, request.issuer.now);
    return sendBack(request, { code });
  } catch (error) {
    if (error instanceof Refusal) return signInPage(request, app, error);
    throw error;
  }
}

/** An exact match with a registered URI, or the loopback address with any port (RFC 8252 section 7.3). */
function checkRedirectUri(app: AppRegistration, uri: string): void {
  if (app.redirectUris.includes(uri)) return;
  const url = URL.canParse(uri) ? new URL(uri) : undefined;
  const isLoopback = ['localhost', '127.0.0.1', '[::1]'].includes(url?.hostname ?? '');
  if (url?.protocol !== 'http:' || !isLoopback || !app.publicClient) throw refuse(50011, uri, app.clientId);
}

/** How the answer reaches the application. Without a mode that is known, it has no way there. */
function checkResponseMode(mode: string | null): void {
  if (mode !== null && !['query', 'fragment', 'form_post'].includes(mode)) throw refuse(70007, mode);
}

function codeChallenge(form: URLSearchParams): { value: string; method: 'S256' | 'plain' } | undefined {
  const value = form.get('code_challenge');
  if (value === null) return undefined;
  const method = form.get('code_challenge_method') ?? 'plain';
  if (method !== 'S256' && method !== 'plain') throw refuse(90014, 'code_challenge_method');
  return { value, method };
}

function signInPage(request: AuthorizationRequest, app: AppRegistration, refusal?: Refusal): HttpAnswer {
  const { form, directory } = request;
  const carried = [...form].filter(([name]) => !FIELDS_OF_THE_PERSON.has(name));
  const userName = form.get('username') ?? form.get('login_hint') ?? '';
  const content = html`<p>to continue to ${app.displayName} in tenant ${directory.homeTenantId}</p>
${problem(refusal === undefined ? undefined : `AADSTS${refusal.aadsts}: ${refusal.message}`)}
<form method="post">
${hidden(carried)}${credentialFields(userName)}
<button type="submit" name="decision" value="sign-in">Sign in</button>
<button type="submit" name="decision" value="cancel" class="quiet" formnovalidate>Cancel</button>
</form>`;
  return page('Sign in', content, { status: refusal === undefined ? 200 : 400 });
}

function errorPage(refusal: Refusal): HttpAnswer {
  const content = problem(`AADSTS${refusal.aadsts}: ${refusal.message}`) ?? html``;
  return page('Sign-in is not possible', content, { status: 400 });
}

/** `query` and `fragment` put the answer into that part of the URL, `form_post` into a form that submits itself. */
function sendBack(request: AuthorizationRequest, result: Record<string, string>): HttpAnswer {
  const { form } = request;
  const target = form.get('redirect_uri') ?? '';
  const state = form.get('state');
  const parameters = { ...result, ...(state === null ? {} : { state }) };
  if (form.get('response_mode') === 'form_post') {
    const content = html`<form method="post" action="${target}">
${hidden(Object.entries(parameters))}<p>You are being sent back to the application.</p>
<button type="submit">Continue</button>
</form>`;
    return page('Signed in', content, { script: 'document.forms[0].submit()' });
  }
  const url = new URL(target);
  if (form.get('response_mode') === 'fragment') {
    url.hash = new URLSearchParams(parameters).toString();
    return { status: 302, headers: { Location: url.href } };
  }
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return { status: 302, headers: { Location: url.href } };
}
