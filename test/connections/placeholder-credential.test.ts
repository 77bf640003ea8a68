import { expect, test } from 'vitest';
import { isPlaceholder, placeholderCredential } from '../../src/connections/placeholder-credential.js';

test('a login with it fails with an error that says what to do', async () => {
  const answer = await placeholderCredential().getToken('scope');
  expect(answer?.expiresOnTimestamp).toBe(Number.MAX_SAFE_INTEGER);
  expect(() => answer?.token).toThrow(
    expect.objectContaining({
      code: 'ERR_CONFIGURATION',
      message:
        'The config of withTokenRefresh() was copied or taken apart before mssql received it: its beforeConnect hook is missing.',
      hint: 'Pass the whole config, or copy your own config first and apply withTokenRefresh() last.',
    }),
  );
});

test('its copies are recognized, other credentials are not', () => {
  const credential = placeholderCredential();
  expect(isPlaceholder(credential)).toBe(true);
  expect(isPlaceholder({ ...credential })).toBe(true);
  for (const other of [{ getToken: async () => null }, { getToken: 'text' }, {}, undefined, null, 'text']) {
    expect(isPlaceholder(other)).toBe(false);
  }
});
