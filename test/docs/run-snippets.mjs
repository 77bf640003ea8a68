// Runs the snippets of one page one after the other, in a process of their own: node run-snippets.mjs a.mjs b.mjs ...
// What every snippet may use without saying where it comes from: tenantId, clientId, clientSecret, credential.
import assert from 'node:assert/strict';

const { env } = process;
Object.assign(globalThis, {
  tenantId: env.AZURE_TENANT_ID,
  clientId: env.AZURE_CLIENT_ID,
  clientSecret: env.AZURE_CLIENT_SECRET,
  credential: {
    async getToken() {
      return { token: env.SQL_ACCESS_TOKEN, expiresOnTimestamp: Date.now() + 3_600_000 };
    },
  },
});

// In pages about tests: what every test runner has.
const tests = [];
globalThis.test = (_name, run) => tests.push(run);
globalThis.expect = (actual) => ({
  toBe: (expected) => assert.equal(actual, expected),
  toEqual: (expected) => assert.deepEqual(actual, expected),
  toHaveLength: (expected) => assert.equal(actual.length, expected),
  toBeGreaterThan: (expected) => assert.ok(actual > expected, `${actual} is not greater than ${expected}`),
});

for (const file of process.argv.slice(2)) {
  try {
    await import(file);
    for (const run of tests.splice(0)) await run();
  } catch (error) {
    console.error(`SNIPPET ${file}\n`, error);
    process.exit(1);
  }
}
// Pools that a snippet has left open.
process.exit(0);
