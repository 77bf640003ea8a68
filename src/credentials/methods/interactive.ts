import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { ConfigurationError, InteractionRequiredError } from '../../errors.js';
import { within } from '../concurrency.js';
import type { AccessToken } from '../credential.js';
import { providerError } from '../entra/provider-error.js';
import { redact, redactedCause, textOf } from '../entra/redact.js';
import { requireTimeout } from '../input/require-option.js';
import { listenForCode } from './loopback.js';
import { defineMethod } from './method.js';
import { PERSON_OPTIONS, type PersonCredential, type PersonOptions, personCredential, type SignIn } from './person.js';

/** A person signs in with a browser on this machine: authorization code with PKCE (RFC 8252, RFC 7636). */
export interface InteractiveOptions extends PersonOptions {
  method: 'interactive';
  /** Opens the browser. Default: the browser of the operating system. The sign-in does not wait for its result. */
  openBrowser?: ((url: string) => unknown) | undefined;
  /** How long the person may take, ms. Default 300,000. */
  signInTimeoutMs?: number | undefined;
  /** Port of the page to which the browser returns, if the application has registered one. Default: any free port. */
  port?: number | undefined;
}

const SIGN_IN_TIMEOUT_MS = 300_000;

/** @throws ConfigurationError naming the option */
export function interactive(options: InteractiveOptions): PersonCredential {
  const { openBrowser = openSystemBrowser, port = 0 } = options;
  const signInTimeoutMs = requireTimeout(options.signInTimeoutMs ?? SIGN_IN_TIMEOUT_MS, 'signInTimeoutMs');
  if (typeof openBrowser !== 'function') throw new ConfigurationError("'openBrowser' must be a function of a URL.");
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new ConfigurationError("'port' must be a port number.");
  return personCredential(options, {
    method: 'interactive',
    noun: 'interactive sign-in',
    identity: [options.openBrowser],
    anyTenant: 'organizations',
    requestTimeoutMs: signInTimeoutMs + 30_000,
    signIn: (attempt) => signInByBrowser(attempt, { openBrowser, signInTimeoutMs, port }),
  });
}

async function signInByBrowser(
  attempt: SignIn,
  how: { openBrowser: (url: string) => unknown; signInTimeoutMs: number; port: number },
): Promise<AccessToken> {
  const { scope, username, options } = attempt;
  const { claims, abortSignal } = options;
  const codeVerifier = randomBytes(32).toString('base64url');
  const [state, nonce] = [randomBytes(32).toString('base64url'), randomBytes(16).toString('base64url')];
  const loopback = await listenForCode(how.port, state);
  const { redirectUri } = loopback;
  const request = { scopes: [scope], redirectUri, ...(claims === undefined ? {} : { claims }) };
  try {
    return await attempt.ask(async (app) => {
      const url = await app.getAuthCodeUrl({
        ...request,
        codeChallenge: createHash('sha256').update(codeVerifier).digest('base64url'),
        codeChallengeMethod: 'S256',
        responseMode: 'form_post',
        state,
        nonce,
        ...(username === undefined ? { prompt: 'select_account' } : { loginHint: username }),
      });
      attempt.prompting();
      const failedToOpen = open(how.openBrowser, url);
      const answer = await within(Promise.race([loopback.answer, failedToOpen]), {
        timeoutMs: how.signInTimeoutMs,
        signal: abortSignal,
        what: 'The interactive sign-in',
        onTimeout: () =>
          new InteractionRequiredError(`No one signed in within ${Math.round(how.signInTimeoutMs / 1000)} s.`),
      });
      if ('error' in answer) throw refused(answer);
      return app.acquireTokenByCode(
        { ...request, code: answer.code, codeVerifier, state, nonce },
        { code: answer.code, state, nonce },
      );
    });
  } finally {
    await loopback.close();
  }
}

/** Rejects if no browser can be opened, and stays pending otherwise: a browser may stay open forever. */
function open(openBrowser: (url: string) => unknown, url: string): Promise<never> {
  return new Promise((_, reject) => {
    Promise.resolve(url)
      .then(openBrowser)
      .catch((error: unknown) => {
        const reason = redact(textOf(error)).slice(0, 400);
        reject(
          new InteractionRequiredError(`No browser could be opened: ${reason}`, {
            cause: redactedCause(error),
            hint: "Without a browser on this machine, use the method 'device-code', or set 'openBrowser'.",
          }),
        );
      });
  });
}

function refused(answer: { error: string; description: string | undefined }): Error {
  if (answer.error === 'access_denied')
    return new InteractionRequiredError('The sign-in was cancelled in the browser.');
  const { error, description } = answer;
  return providerError({ status: 400, error, description }, 'interactive sign-in', { person: true });
}

/** Without a shell: the URL is an argument, never a command. */
function openSystemBrowser(url: string): Promise<void> {
  const [command, args]: [string, string[]] =
    process.platform === 'win32'
      ? ['rundll32', ['url.dll,FileProtocolHandler', url]]
      : [process.platform === 'darwin' ? 'open' : 'xdg-open', [url]];
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'ignore', detached: true });
    child.once('error', reject);
    child.once('spawn', () => {
      child.unref();
      resolve();
    });
  });
}

export const interactiveMethod = defineMethod<InteractiveOptions>({
  name: 'interactive',
  options: { ...PERSON_OPTIONS, openBrowser: true, signInTimeoutMs: true, port: true },
  selectedBy: ['username'],
  create: interactive,
});
