import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { inspect } from 'node:util';
import { afterEach, expect, test } from 'vitest';
import { TokenCache } from '../../src/index.js';

const SECRET = 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzZWNyZXQifQ.c2lnbmF0dXJlLXNlY3JldA';
const heard: unknown[] = [];
const listener = (message: unknown) => heard.push(message);
const channels = ['token:requested', 'token:refreshed', 'token:failed', 'token:invalidated'].map(
  (name) => `mssql-token-pool:${name}`,
);

afterEach(() => {
  for (const name of channels) unsubscribe(name, listener);
  heard.length = 0;
});

/** Every way to print a value. */
function printed(...things: unknown[]): string {
  return things
    .map((thing) => `${inspect(thing, { depth: 10, showHidden: true })} ${JSON.stringify(thing)} ${String(thing)}`)
    .join('\n');
}

test('a token appears in no event, inspection or JSON', async () => {
  for (const name of channels) subscribe(name, listener);
  const tokens = new TokenCache({
    async getToken() {
      return { token: SECRET, expiresOnTimestamp: Date.now() + 3_600_000 };
    },
  });
  const held = await tokens.get();
  tokens.invalidate(held);
  expect(heard).toHaveLength(3);
  expect(printed(tokens, held, heard)).not.toContain(SECRET.slice(0, 20));
});

test('secrets are removed from the error of a failing credential', async () => {
  for (const name of channels) subscribe(name, listener);
  const tokens = new TokenCache({
    async getToken(): Promise<never> {
      throw Object.assign(new Error(`POST client_secret=Hunter2Hunter2&x=1 gave ${SECRET}`), { request: SECRET });
    },
  });
  const error = await tokens.get().catch((e) => e);
  const text = printed(error, error.cause, error.stack, error.cause.stack, heard);
  expect(text).not.toContain(SECRET.slice(0, 20));
  expect(text).not.toContain('Hunter2');
  expect(text).toContain('gave [hidden]');
});
