import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { AbortedError, ConfigurationError, InteractionRequiredError } from '../../errors.js';
import type { AccessToken } from '../credential.js';
import { providerError } from '../entra/provider-error.js';
import { redact } from '../entra/redact.js';
import { requireTimeout } from '../input/require-option.js';
import { listenForCode } from './loopback.js';
import { type PersonCredential, type PersonOptions, personCredential, type SignIn } from './person.js';

/** A person signs in with a browser on this machine: authorization code with PKCE (RFC 8252, RFC 7636). */
export interface InteractiveOptions extends PersonOptions {
  method: 'interactive';
  /** Opens the browser. Default: the one of the operating system. */
  openBrowser?: ((url: string) => unknown) | undefined;
  /** How long the person may take, ms. Default 300,000. */
  signInTimeoutMs?: number | undefined;
  /** Port of the page that the browser comes back to, where the application has it registered. Default: any free one. */
  port?: number | undefined;
}

const SIGN_IN_TIMEOUT_MS = 300_000;

/** @throws ConfigurationError naming the key */
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
      await open(how.openBrowser, url);
      const answer = await within(loopback.answer, how.signInTimeoutMs, abortSignal);
      if ('error' in answer) throw refused(answer);
      return app.acquireTokenByCode(
        { ...request, code: answer.code, codeVerifier, state },
        { code: answer.code, state, nonce },
      );
    });
  } finally {
    await loopback.close();
  }
}

async function open(openBrowser: (url: string) => unknown, url: string): Promise<void> {
  try {
    await openBrowser(url);
  } catch (error) {
    throw new InteractionRequiredError(`No browser could be opened: ${redact(String((error as Error)?.message))}`, {
      hint: "Without a browser on this machine use the method 'device-code'; or give 'openBrowser'.",
    });
  }
}

function refused(answer: { error: string; description: string | undefined }): Error {
  if (answer.error === 'access_denied')
    return new InteractionRequiredError('The sign-in was cancelled in the browser.');
  const { error, description } = answer;
  return providerError({ status: 400, error, description }, 'interactive sign-in', { person: true });
}

function within<T>(promise: Promise<T>, timeoutMs: number, signal: AbortSignal | undefined): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const timer = setTimeout(() => {
      leave(new InteractionRequiredError(`Nobody signed in within ${Math.round(timeoutMs / 1000)} s.`));
    }, timeoutMs);
    const onAbort = () => leave(new AbortedError('The interactive sign-in was given up.', { cause: signal?.reason }));
    if (signal?.aborted) onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    promise.then((value) => {
      leave(undefined);
      resolve(value);
    }, leave);

    function leave(error: unknown): void {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      if (error !== undefined) reject(error);
    }
  });
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
