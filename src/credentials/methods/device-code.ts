import { AbortedError, ConfigurationError, InteractionRequiredError, TokenUnavailableError } from '../../errors.js';
import { sleep } from '../../time.js';
import type { AccessToken } from '../credential.js';
import { httpExchange, jsonObject } from '../entra/http-request.js';
import { oauthRefusal } from '../entra/oauth-refusal.js';
import { redact, redactedCause, textOf } from '../entra/redact.js';
import { defineMethod } from './method.js';
import { PERSON_OPTIONS, type PersonCredential, type PersonOptions, personCredential, type SignIn } from './person.js';

/** A person signs in with a browser on any device, by entering a code there (RFC 8628). */
export interface DeviceCodeOptions extends PersonOptions {
  method: 'device-code';
  /** Shows the code to the person. Default: `message` on stderr. The sign-in does not wait for its result. */
  onCode?: ((code: DeviceCode) => void | Promise<void>) | undefined;
}

/** The prompt of a device code sign-in. */
export interface DeviceCode {
  /** The code to enter. */
  userCode: string;
  /** The page to enter it on. */
  verificationUri: string;
  /** A sentence with both. */
  message: string;
  /** When the code expires, epoch ms. */
  expiresOn: number;
}

/** Entra's codes are valid for 15 minutes; the request ends with them. */
const REQUEST_TIMEOUT_MS = 16 * 60_000;
/** RFC 8628 section 3.5: the interval if none is given, and by how much `slow_down` lengthens it, seconds. */
const INTERVAL_S = 5;
const SLOW_DOWN_S = 5;
/** No code is valid for longer than a day; a larger number is ignored. */
const LONGEST_S = 86_400;

/** @throws ConfigurationError naming the option */
export function deviceCode(options: DeviceCodeOptions): PersonCredential {
  const onCode = options.onCode ?? (({ message }) => void process.stderr.write(`${message}\n`));
  if (typeof onCode !== 'function') throw new ConfigurationError("'onCode' must be a function that shows the code.");
  return personCredential(options, {
    method: 'device-code',
    noun: 'device code sign-in',
    identity: [options.onCode],
    anyTenant: 'organizations',
    requestTimeoutMs: REQUEST_TIMEOUT_MS,
    signIn: (attempt) => signInByCode(attempt, onCode),
  });
}

/**
 * This library's own loop, because MSAL's ends at the first `slow_down`, 503 or dropped connection, and polls without a
 * code if it received none. MSAL gets the resulting refresh token and keeps the person signed in from then on.
 */
async function signInByCode(attempt: SignIn, onCode: NonNullable<DeviceCodeOptions['onCode']>): Promise<AccessToken> {
  const started = await start(attempt);
  attempt.prompting();
  // Polling does not wait for the prompt, which may stay open until the person is done, or forever.
  const showing = Promise.resolve(started.code).then(onCode);
  const refreshToken = await Promise.race([poll(attempt, started), failureOf(showing)]);
  return attempt.ask((app) =>
    app.acquireTokenByRefreshToken({ refreshToken, scopes: [attempt.scope], forceCache: true }),
  );
}

/** Rejects if the promise does, and stays pending otherwise. */
function failureOf(promise: Promise<unknown>): Promise<never> {
  return new Promise((_, reject) => {
    promise.catch((error: unknown) => {
      const reason = redact(textOf(error)).slice(0, 400);
      reject(
        new InteractionRequiredError(`The function given as 'onCode' failed: ${reason}`, {
          cause: redactedCause(error),
        }),
      );
    });
  });
}

interface Started {
  code: DeviceCode;
  deviceCode: string;
  intervalMs: number;
}

async function start(attempt: SignIn): Promise<Started> {
  const { authority, clientId, scope, options } = attempt;
  const { claims } = options;
  const reply = await post(attempt, authority.deviceCodeEndpoint, {
    client_id: clientId,
    scope: `${scope} openid profile offline_access`,
    ...(claims === undefined ? {} : { claims }),
  });
  const body = jsonObject(reply.body);
  const { user_code, device_code, verification_uri, message, expires_in, interval } = body ?? {};
  if (reply.status !== 200 || typeof device_code !== 'string' || typeof user_code !== 'string') {
    throw oauthRefusal(reply, body, { who: 'device code sign-in', person: true });
  }
  const verificationUri = typeof verification_uri === 'string' ? verification_uri.slice(0, 2_048) : '';
  return {
    deviceCode: device_code,
    intervalMs: seconds(interval, INTERVAL_S) * 1000,
    code: {
      userCode: user_code,
      verificationUri,
      message:
        typeof message === 'string'
          ? message.slice(0, 2_048)
          : `To sign in, open ${verificationUri} and enter ${user_code}.`,
      expiresOn: Date.now() + seconds(expires_in, 900) * 1000,
    },
  };
}

const NEW_CODE = 'Sign in with a new code, and confirm it on the page.';

/** Polls until the person is done. @returns the refresh token */
async function poll(attempt: SignIn, { code, deviceCode, intervalMs }: Started): Promise<string> {
  const { authority, clientId, options } = attempt;
  const { abortSignal } = options;
  for (let waitMs = intervalMs; ; ) {
    await pause(waitMs, abortSignal);
    const secrets = [deviceCode];
    let reply: Awaited<ReturnType<typeof post>>;
    try {
      reply = await post(attempt, authority.tokenEndpoint, {
        grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
        client_id: clientId,
        device_code: deviceCode,
      });
    } catch (error) {
      // After a network failure the person need not start again.
      if (!(error instanceof TokenUnavailableError) || Date.now() > code.expiresOn) throw error;
      continue;
    }
    const body = jsonObject(reply.body);
    if (reply.status === 200 && typeof body?.refresh_token === 'string') return body.refresh_token;
    if (reply.status === 200 && body !== undefined && 'access_token' in body) {
      throw new ConfigurationError('The identity provider returned no refresh token for the device code sign-in.', {
        hint: 'Grant the application the permission offline_access.',
      });
    }
    if (body?.error === 'authorization_declined' || body?.error === 'access_denied') {
      throw new InteractionRequiredError('The device code sign-in was declined.', { hint: NEW_CODE });
    }
    if (body?.error === 'expired_token' || Date.now() > code.expiresOn) {
      throw new InteractionRequiredError('No one signed in before the device code expired.', { hint: NEW_CODE });
    }
    if (body?.error === 'slow_down') waitMs += SLOW_DOWN_S * 1000;
    else if (body?.error !== 'authorization_pending') {
      const refusal = oauthRefusal(reply, body, { who: 'device code sign-in', person: true, secrets });
      if (!(refusal instanceof TokenUnavailableError)) throw refusal;
      if (refusal.retryAfterMs !== undefined) await pause(Math.min(refusal.retryAfterMs, 60_000), abortSignal);
    }
  }
}

function post({ agent, options }: SignIn, url: URL, form: Record<string, string>) {
  return httpExchange({
    url,
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams(form).toString(),
    agent,
    abortSignal: options.abortSignal,
  });
}

async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await sleep(ms, { signal });
  } catch {
    throw new AbortedError('The device code sign-in was aborted.', { cause: signal?.reason });
  }
}

function seconds(value: unknown, otherwise: number): number {
  const given = Number(value);
  return given > 0 && given <= LONGEST_S ? given : otherwise;
}

export const deviceCodeMethod = defineMethod<DeviceCodeOptions>({
  name: 'device-code',
  options: { ...PERSON_OPTIONS, onCode: true },
  selectedBy: ['username'],
  create: deviceCode,
});
