import { randomBytes } from 'node:crypto';
import type { HttpAnswer } from '../http-listener.js';

/** A piece of HTML in which every interpolated value is escaped. */
export class Html {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  toString(): string {
    return this.#text;
  }
}

/** Template tag: escapes values unless they are {@link Html}, joins lists and omits undefined. */
export function html(parts: TemplateStringsArray, ...values: (string | Html | Html[] | undefined)[]): Html {
  const text = parts.reduce((done, part, i) => `${done}${part}${i < values.length ? escaped(values[i]) : ''}`, '');
  return new Html(text);
}

function escaped(value: string | Html | Html[] | undefined): string {
  if (value === undefined) return '';
  if (Array.isArray(value)) return value.join('');
  if (value instanceof Html) return value.toString();
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return value.replaceAll(/[&<>"']/g, (character) => entities[character] ?? '');
}

const STYLE = `
  body { font: 16px/1.5 system-ui, sans-serif; margin: 0; background: #f3f4f6; color: #1b1b1f; }
  main { max-width: 24rem; margin: 10vh auto; padding: 2rem; background: #fff; border: 1px solid #c9ccd3; border-radius: 8px; }
  h1 { font-size: 1.5rem; margin: 0 0 .5rem; }
  p { margin: 0 0 1rem; }
  label { display: block; font-weight: 600; margin-top: 1rem; }
  input { box-sizing: border-box; width: 100%; font: inherit; padding: .5rem; border: 1px solid #6b7280; border-radius: 4px; }
  button { font: inherit; padding: .5rem 1.25rem; margin: 1.5rem .5rem 0 0; border: 1px solid #0b57d0; border-radius: 4px; background: #0b57d0; color: #fff; cursor: pointer; }
  button.quiet { background: #fff; color: #0b57d0; }
  input:focus-visible, button:focus-visible { outline: 3px solid #1b1b1f; outline-offset: 2px; }
  .problem { padding: .5rem .75rem; border-left: 4px solid #b3261e; background: #fce8e6; }
  footer { margin-top: 2rem; font-size: .875rem; color: #5f6368; }
`;

/** A complete page. It loads no external resources, and only `script` runs. */
export function page(title: string, content: Html, options: { status?: number; script?: string } = {}): HttpAnswer {
  const nonce = randomBytes(16).toString('base64');
  const script =
    options.script === undefined ? undefined : new Html(`<script nonce="${nonce}">${options.script}</script>`);
  return {
    status: options.status ?? 200,
    headers: {
      'Content-Security-Policy': `default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-${nonce}'; base-uri 'none'; frame-ancestors 'none'`,
      'Referrer-Policy': 'no-referrer',
    },
    body: html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} - Entra emulator</title>
<style>${new Html(STYLE)}</style>
</head>
<body>
<main>
<h1>${title}</h1>
${content}
<footer>Entra emulator of mssql-token-pool: for tests only. Do not type in a real password.</footer>
</main>
${script}
</body>
</html>
`.toString(),
  };
}

/** Hidden inputs that pass parameters through a form. */
export function hidden(parameters: Iterable<[string, string]>): Html[] {
  return [...parameters].map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}">\n`);
}

/** The error message, also announced to screen readers. */
export function problem(text: string | undefined): Html | undefined {
  return text === undefined ? undefined : html`<p class="problem" role="alert">${text}</p>`;
}

/** User name and password fields; the first empty one gets the focus, unless an earlier field has it. */
export function credentialFields(userName: string, options: { focus: boolean } = { focus: true }): Html {
  const focus = (wanted: boolean) => (options.focus && wanted ? html` autofocus` : undefined);
  return html`<label for="username">User name</label>
<input id="username" name="username" value="${userName}" autocomplete="username" autocapitalize="none" spellcheck="false" required${focus(userName === '')}>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required${focus(userName !== '')}>`;
}
