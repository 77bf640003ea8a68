import http from 'node:http';
import https from 'node:https';

/** The last page of a sign-in, as a browser would show it. */
export interface SignInResult {
  url: string;
  status: number;
  body: string;
}

/** Submits the sign-in form as a user would, and follows the redirects to the application's page. */
export async function signInWithoutBrowser(
  authorizeUrl: string,
  fields: Record<string, string>,
  ca: string | undefined,
): Promise<SignInResult> {
  const url = new URL(authorizeUrl);
  const form = new URLSearchParams(url.searchParams);
  for (const [name, value] of Object.entries(fields)) form.set(name, value);
  const answer = await send('POST', url.origin + url.pathname, form, ca);
  if (answer.location !== undefined) return send('GET', answer.location, undefined, ca);
  const back = formPost(answer.body);
  return back === undefined ? answer : send('POST', back.action, back.form, ca);
}

/** The form that `response_mode=form_post` submits to the application; undefined for any other page. */
function formPost(body: string): { action: string; form: URLSearchParams } | undefined {
  const action = /<form method="post" action="([^"]*)">/.exec(body)?.[1];
  if (action === undefined) return undefined;
  const inputs = body.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)">/g);
  const form = new URLSearchParams();
  for (const [, name = '', value = ''] of inputs) form.append(decoded(name), decoded(value));
  return { action: decoded(action), form };
}

function decoded(text: string): string {
  const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" };
  return text.replaceAll(/&(amp|lt|gt|quot|#39);/g, (_whole, name: string) => entities[name] ?? '');
}

function send(
  method: 'GET' | 'POST',
  url: string,
  form: URLSearchParams | undefined,
  ca: string | undefined,
): Promise<SignInResult & { location: string | undefined }> {
  const { request } = url.startsWith('https:') ? https : http;
  const headers = form === undefined ? {} : { 'Content-Type': 'application/x-www-form-urlencoded' };
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, headers, agent: false, ...(ca === undefined ? {} : { ca }) }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => {
        body += text;
      });
      response.on('error', reject);
      response.on('end', () => {
        resolve({ url, status: response.statusCode ?? 0, body, location: response.headers.location });
      });
    });
    sent.on('error', reject);
    sent.end(form?.toString());
  });
}
