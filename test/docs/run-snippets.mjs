// Runs the snippets of one page one after the other, in a process of their own: node run-snippets.mjs a.mjs b.mjs ...
// What every snippet may use without saying where it comes from: tenantId, clientId, clientSecret, credential.
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

for (const file of process.argv.slice(2)) {
  try {
    await import(file);
  } catch (error) {
    console.error(`SNIPPET ${file}\n`, error);
    process.exit(1);
  }
}
// Pools that a snippet has left open.
process.exit(0);
