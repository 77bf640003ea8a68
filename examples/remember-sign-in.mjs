// The user signs in once; the sign-in survives restarts in an encrypted file.
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCredential } from 'mssql-token-pool';
import { withEmulators } from './with-emulators.mjs';

/**
 * An MSAL cache plugin: it reads the file before each access and writes it after changes. Key and file together are the
 * user's sign-in, so keep the key in the system's key ring.
 */
function encryptedFile(file, key) {
  return {
    async beforeCacheAccess({ tokenCache }) {
      const bytes = await readFile(file).catch(() => undefined);
      if (bytes === undefined) return;
      const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12), { authTagLength: 16 });
      decipher.setAuthTag(bytes.subarray(12, 28));
      tokenCache.deserialize(decipher.update(bytes.subarray(28), undefined, 'utf8') + decipher.final('utf8'));
    },
    async afterCacheAccess({ cacheHasChanged, tokenCache }) {
      if (!cacheHasChanged) return;
      const nonce = randomBytes(12);
      const cipher = createCipheriv('aes-256-gcm', key, nonce);
      const sealed = Buffer.concat([cipher.update(tokenCache.serialize(), 'utf8'), cipher.final()]);
      // Written atomically, so that a killed process leaves a complete file.
      const next = `${file}.${process.pid}`;
      await writeFile(next, Buffer.concat([nonce, cipher.getAuthTag(), sealed]), { mode: 0o600 });
      await rename(next, file);
    },
  };
}

const emulators = await withEmulators();
const directory = await mkdtemp(join(tmpdir(), 'sign-in-'));
const key = randomBytes(32);

// ---- the app, started twice ----
for (const start of ['first', 'second']) {
  let prompts = 0;
  const credential = createCredential({
    method: 'device-code',
    tenantId: emulators.entra.tenantId,
    authority: emulators.entra.url,
    persistentCache: encryptedFile(join(directory, 'sign-in.bin'), key),
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
const kept = await readFile(join(directory, 'sign-in.bin'), 'latin1');
console.log(`the file shows the user name: ${kept.includes(emulators.entra.user.userName) ? 'yes' : 'no'}`);
emulators.report();
await rm(directory, { recursive: true });
await emulators.stop();
