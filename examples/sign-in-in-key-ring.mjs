// The user signs in once; the operating system stores the sign-in across restarts (DPAPI, Keychain, libsecret).
// Run `npm install @azure/msal-node-extensions` first. It is native code, so this library does not depend on it.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCredential } from 'mssql-token-pool';
import { withEmulators } from './with-emulators.mjs';

const directory = await mkdtemp(join(tmpdir(), 'sign-in-'));

async function keyRing() {
  const { DataProtectionScope, PersistenceCachePlugin, PersistenceCreator } = await import(
    '@azure/msal-node-extensions'
  );
  const persistence = await PersistenceCreator.createPersistence({
    cachePath: join(directory, 'sign-in.cache'),
    dataProtectionScope: DataProtectionScope.CurrentUser,
    serviceName: 'mssql-token-pool example',
    accountName: 'sign-in',
    // Not storing the sign-in is better than storing it where any program can read it.
    usePlaintextFileOnLinux: false,
  });
  return { persistence, plugin: () => new PersistenceCachePlugin(persistence) };
}

const protectedStore = await keyRing().catch((error) => {
  // Not installed, native part not built, or no key ring on this machine (a container, a server without a desktop).
  console.log(`skipped: @azure/msal-node-extensions cannot be used here (${error.message.split('\n')[0]})`);
});

if (protectedStore !== undefined) {
  const { persistence, plugin } = protectedStore;
  const emulators = await withEmulators();

  // ---- the app, started twice ----
  for (const start of ['first', 'second']) {
    let prompts = 0;
    const credential = createCredential({
      method: 'device-code',
      tenantId: emulators.entra.tenantId,
      authority: emulators.entra.url,
      persistentCache: plugin(),
      onCode({ message }) {
        prompts += 1;
        console.log(message);
        // The user opens a browser here; the emulator signs in instead.
        emulators.entra.deviceSignIns.at(-1).approve(emulators.entra.user);
      },
    });
    await credential.getToken('https://database.windows.net/.default');
    console.log(`${start} start: signed in as ${credential.principal.id}, ${prompts} prompts`);
  }
  await persistence.delete();
  emulators.report();
  await emulators.stop();
}
await rm(directory, { recursive: true });
