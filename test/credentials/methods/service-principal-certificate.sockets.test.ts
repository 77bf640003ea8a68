import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createCredential } from '../../../src/index.js';
import {
  type EntraEmulator,
  makeCertificate,
  makeCertificateAuthority,
  startEntraEmulator,
} from '../../../src/testing/index.js';
import { printed } from '../printed.js';

const SCOPE = 'https://database.windows.net/.default';
const { cert, key } = makeCertificate({ commonName: 'app', keyType: 'rsa' });
const pem = `${key}\n${cert}`;
const folder = mkdtempSync(join(tmpdir(), 'certificates-'));
let entra: EntraEmulator;
let clientId: string;

beforeAll(async () => {
  entra = await startEntraEmulator();
  clientId = entra.addApp({ clientSecret: undefined, certificates: [cert, fixture('cert.pem').toString()] }).clientId;
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await entra.close();
});

/** Created by openssl 3 from one key and certificate; the file names say how. */
function fixture(name: string): Buffer {
  return readFileSync(new URL(`../fixtures/${name}`, import.meta.url));
}

function options(changes: object = {}) {
  return { tenantId: entra.tenantId, clientId, authority: entra.url, ...changes };
}

async function appOf(changes: object): Promise<unknown> {
  const answer = await createCredential(options(changes)).getToken(SCOPE);
  return (entra.verify(answer?.token ?? '') as { appid?: string }).appid;
}

describe('a token comes from', () => {
  test('PEM text, in either order', async () => {
    expect(await appOf({ certificate: pem })).toBe(clientId);
    expect(await appOf({ certificate: `${cert}\n${key}` })).toBe(clientId);
  });

  test('an encrypted key, PKCS #8 or #1', async () => {
    const privateKey = createPrivateKey(key);
    for (const type of ['pkcs8', 'pkcs1'] as const) {
      const encrypted = privateKey.export({ type, format: 'pem', cipher: 'aes-256-cbc', passphrase: 'open sesame' });
      const certificate = `${encrypted}${cert}`;
      expect(await appOf({ certificate, certificatePassword: 'open sesame' })).toBe(clientId);
      expect(await appOf({ certificate, certificatePassword: async () => 'open sesame' })).toBe(clientId);
    }
  });

  test('a file, read again after it is renewed', async () => {
    const path = join(folder, 'app.pem');
    writeFileSync(path, pem);
    const credential = createCredential(options({ certificatePath: path }));
    await credential.getToken(SCOPE);
    const next = makeCertificate({ commonName: 'app', keyType: 'rsa' });
    writeFileSync(path, `${next.key}\n${next.cert}`);
    await expect(credential.getToken(SCOPE)).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_REJECTED', aadsts: 700027 });
    writeFileSync(path, pem);
    await credential.getToken(SCOPE);
  });

  test.each([
    ['modern', 'open-sesame'],
    ['3des', 'open-sesame'],
    ['sha512', 'pässwörd ☃'],
    ['nomac', 'open-sesame'],
    ['plain', 'open-sesame'],
  ])('a PFX file written with %s', async (name, certificatePassword) => {
    expect(await appOf({ certificate: fixture(`${name}.pfx`), certificatePassword })).toBe(clientId);
  });

  test.each(['rc2', 'rc2-128'])(
    'a PFX file encrypted with %s is rejected with the command that exports it again',
    async (name) => {
      const certificate = fixture(`${name}.pfx`);
      for (const certificatePassword of ['open-sesame', async () => 'open-sesame']) {
        const refused = await Promise.resolve()
          .then(() => appOf({ certificate, certificatePassword }))
          .catch((error) => error);
        expect(refused).toMatchObject({ code: 'ERR_CONFIGURATION', message: expect.stringContaining('RC2') });
        expect((refused as { hint?: string }).hint).toMatch(/AES.*openssl pkcs12/);
      }
    },
  );

  test('a PFX file without a password, as bytes, base64 and path', async () => {
    const pfx = fixture('empty.pfx');
    const path = join(folder, 'app.pfx');
    writeFileSync(path, pfx);
    expect(await appOf({ certificate: new Uint8Array(pfx) })).toBe(clientId);
    expect(await appOf({ certificate: pfx.toString('base64') })).toBe(clientId);
    expect(await appOf({ certificatePath: path })).toBe(clientId);
  });

  test('a certificate trusted by subject and issuer, if the chain is sent', async () => {
    const authority = makeCertificateAuthority({ commonName: 'company' });
    const own = makeCertificate({ commonName: 'app.company', issuer: authority, keyType: 'rsa' });
    const trusting = entra.addApp({
      clientSecret: undefined,
      trustedSubjects: [{ commonName: 'app.company', authority: authority.cert }],
    });
    const changes = { clientId: trusting.clientId, certificate: `${own.key}\n${own.cert}\n${authority.cert}` };
    expect(await appOf({ ...changes, sendCertificateChain: true })).toBe(trusting.clientId);
    await expect(appOf(changes)).rejects.toMatchObject({ aadsts: 700027 });
  });
});

describe('invalid input is rejected with the option and how to fix it', () => {
  const ended = makeCertificate({ commonName: 'app', keyType: 'rsa', notBefore: new Date(0), notAfter: new Date(1) });
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' });
  const encrypted = createPrivateKey(key).export({
    type: 'pkcs8',
    format: 'pem',
    cipher: 'aes-256-cbc',
    passphrase: 'open sesame',
  });
  test.each<[string, object, RegExp]>([
    ['neither', {}, /'method'/],
    ['both forms', { certificate: pem, certificatePath: 'x' }, /either 'certificate' or 'certificatePath'/],
    [
      'secret too',
      { certificate: pem, clientSecret: 's' },
      /only one of 'certificate' and 'clientSecret'|only one of 'clientSecret' and 'certificate'/,
    ],
    ['no key', { certificate: cert }, /no private key/],
    ['no certificate', { certificate: key }, /no certificate/],
    ['damaged', { certificate: pem.replace(/MII\w/, 'AAAA') }, /damaged/],
    [
      'foreign key',
      { certificate: `${makeCertificate({ commonName: 'x', keyType: 'rsa' }).key}${cert}` },
      /does not belong to any/,
    ],
    ['EC key', { certificate: `${ec}${cert}` }, /RSA only/],
    ['password missing', { certificate: `${encrypted}${cert}` }, /Set 'certificatePassword'/],
    ['password wrong', { certificate: `${encrypted}${cert}`, certificatePassword: 'x' }, /does not open/],
    ['PFX password missing', { certificate: fixture('modern.pfx') }, /PFX file with a password/],
    ['PFX password wrong', { certificate: fixture('3des.pfx'), certificatePassword: 'x' }, /does not open/],
    [
      'PFX cut off',
      { certificate: fixture('modern.pfx').subarray(0, 999), certificatePassword: 'x' },
      /neither PEM nor/,
    ],
    ['rubbish', { certificate: 'not a certificate' }, /neither PEM nor/],
    ['ended', { certificate: `${ended.key}${ended.cert}` }, /expired on/],
  ])('%s', (_, changes, message) => {
    let error: Error & { hint?: string } = new Error();
    try {
      createCredential(options(changes) as never);
    } catch (thrown) {
      error = thrown as Error;
    }
    expect(error).toMatchObject({ code: 'ERR_CONFIGURATION' });
    expect(`${error.message} ${error.hint}`).toMatch(message);
    expect(printed(error)).not.toMatch(/PRIVATE KEY-----\n|open sesame/);
  });

  test('a token request names a missing file', async () => {
    const credential = createCredential(options({ certificatePath: join(folder, 'missing.pem') }));
    await expect(credential.getToken(SCOPE)).rejects.toMatchObject({
      code: 'ERR_PROOF_UNAVAILABLE',
      message: expect.stringContaining("'certificatePath' cannot be read (ENOENT)"),
    });
  });
});

test('a PFX file that is truncated or damaged anywhere causes at most a ConfigurationError', () => {
  const pfx = fixture('3des.pfx');
  for (let at = 0; at < pfx.length; at += 13) {
    const damaged = Buffer.from(pfx);
    damaged[at] = (damaged[at] as number) ^ 0xff;
    for (const certificate of [damaged, pfx.subarray(0, at)]) {
      try {
        createCredential(options({ certificate, certificatePassword: 'open-sesame' }));
      } catch (error) {
        expect(error).toMatchObject({ code: 'ERR_CONFIGURATION' });
      }
    }
  }
});
