import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { ConfigurationError, CredentialRejectedError, LoginRefusedError } from '../src/errors.js';

test('an error prints once, with what is known and nothing else', () => {
  const printed = inspect(new ConfigurationError("Unknown option 'x'.", { hint: "Remove 'x'." }));
  expect(printed.match(/Unknown option/g)).toHaveLength(1);
  expect(printed).toMatch(/\{\s*code: 'ERR_CONFIGURATION',\s*hint: "Remove 'x'\."\s*\}$/);
});

test.each([
  [
    new LoginRefusedError('Login failed.', { number: 18456, state: 1, class: 14 }),
    { number: 18456, state: 1, class: 14 },
  ],
  [new CredentialRejectedError('Refused.', { status: 400, aadsts: 7000215 }), { status: 400, aadsts: 7000215 }],
])('%s has its details as properties', (error, details) => {
  expect({ ...error }).toEqual({ name: error.name, code: error.code, ...details });
  expect(error.hint).toBeUndefined();
});
