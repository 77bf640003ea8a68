import { userWithPassword } from '../grants/password.js';
import type { HttpAnswer } from '../http-listener.js';
import { Refusal } from '../refusal.js';
import type { TokenRequest } from '../token-request.js';
import { credentialFields, html, page, problem } from './page.js';

/** The page on which a user enters the code shown on another device (RFC 8628 section 3.3). */
export function devicePage(
  request: Pick<TokenRequest, 'form' | 'directory' | 'deviceCodes'>,
  method: string,
): HttpAnswer {
  if (method !== 'POST') return codePage(request.form);
  const { form, directory, deviceCodes } = request;
  const signIn = deviceCodes.find(form.get('user_code') ?? '');
  if (signIn === undefined || signIn.state !== 'pending')
    return codePage(form, 'This code is unknown or has already been used.');
  if (form.get('decision') === 'decline') {
    signIn.decline();
    return page('Declined', html`<p>The other device was not signed in. You can close this page.</p>`);
  }
  try {
    signIn.approve(userWithPassword(directory, form.get('username') ?? '', form.get('password') ?? ''));
  } catch (error) {
    if (error instanceof Refusal) return codePage(form, `AADSTS${error.aadsts}: ${error.message}`);
    throw error;
  }
  return page('Signed in', html`<p>The other device is signed in now. You can close this page.</p>`);
}

function codePage(form: URLSearchParams, text?: string): HttpAnswer {
  const typed = form.get('user_code') ?? '';
  const content = html`<p>Enter the code that the other device shows, and sign in.</p>
${problem(text)}
<form method="post">
<label for="user_code">Code</label>
<input id="user_code" name="user_code" value="${typed}" autocomplete="off" autocapitalize="characters" spellcheck="false" required${typed === '' ? html` autofocus` : undefined}>
${credentialFields(form.get('username') ?? '', { focus: typed !== '' })}
<button type="submit" name="decision" value="approve">Sign in</button>
<button type="submit" name="decision" value="decline" class="quiet" formnovalidate>Decline</button>
</form>`;
  return page('Sign in on another device', content, { status: text === undefined ? 200 : 400 });
}
