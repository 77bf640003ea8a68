import { afterAll, expect } from 'vitest';

/** Set by a library when it is loaded. */
const BY_LIBRARIES = new Set(['MIKRO_ORM_COLORS']);

// In a process that goes on to the next test file, no file may leave an environment variable behind.
const before = { ...process.env };
afterAll(() => {
  const names = new Set([...Object.keys(before), ...Object.keys(process.env)]);
  const changed = [...names].filter((name) => process.env[name] !== before[name] && !BY_LIBRARIES.has(name));
  expect(changed).toEqual([]);
});
