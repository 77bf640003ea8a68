import { execFile } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeCertificate } from '../../src/testing/index.js';
import { generatedClient } from '../orm/prisma/generate.js';
import { hasRedis, RedisServer } from '../support/redis.js';
import { pages, runnable, type Snippet, snippetsOf } from './snippets.js';

// Inside the repository, so that `mssql-token-pool` and its peers are found as in an app.
const reports = fileURLToPath(new URL('../../reports/', import.meta.url));
const folders: string[] = [];
const runner = fileURLToPath(new URL('run-snippets.mjs', import.meta.url));
const certificate = makeCertificate({ commonName: 'localhost' });
let redis: RedisServer | undefined;
/** For logins with tokens, which the snippets then make its passwords. */
let redisWithPassword: RedisServer | undefined;
const REDIS_PASSWORD = 'root';

beforeAll(async () => {
  if (hasRedis) {
    redis = await RedisServer.start();
    redisWithPassword = await RedisServer.start('--requirepass', REDIS_PASSWORD);
  }
  await generatedClient(); // Prisma's, for the page about ORMs
}, 60_000);
afterAll(async () => {
  await redis?.[Symbol.asyncDispose]();
  await redisWithPassword?.[Symbol.asyncDispose]();
  for (const folder of folders) rmSync(folder, { recursive: true });
});

function run(cwd: string, files: string[]): Promise<string | undefined> {
  const env = {
    PATH: process.env.PATH,
    NODE_EXTRA_CA_CERTS: `${cwd}ca.pem`,
    SNIPPETS_CERTIFICATE: JSON.stringify(certificate),
    ...(redis && { REDIS_URL: `redis://127.0.0.1:${redis.port}` }),
    ...(redisWithPassword && {
      SNIPPETS_REDIS_PORT: String(redisWithPassword.port),
      SNIPPETS_REDIS_PASSWORD: REDIS_PASSWORD,
    }),
    TOKEN_STORE_KEY: '0123456789abcdef'.repeat(4),
  };
  return new Promise((resolve) => {
    execFile(process.execPath, [runner, ...files], { env, timeout: 90_000, cwd }, (error, stdout, stderr) => {
      resolve(error === null ? undefined : `${error.killed ? 'It did not end. ' : ''}${stderr}${stdout}`);
    });
  });
}

/** Requirements of a snippet that this machine lacks. */
function missing({ needs }: Snippet): string | undefined {
  if (needs === undefined) return undefined;
  const major = /^Node\.js (\d+)$/.exec(needs)?.[1];
  const there = major !== undefined ? Number.parseInt(process.versions.node, 10) >= Number(major) : undefined;
  if (there ?? (needs === 'redis' ? hasRedis : false)) return undefined;
  return `needs ${needs}`;
}

describe.concurrent.each(pages().filter((page) => snippetsOf(page).length > 0))('%s', (page) => {
  const snippets = snippetsOf(page);
  const toRun = snippets.filter((snippet) => missing(snippet) === undefined);

  test.skipIf(toRun.length === 0)(
    `${toRun.length} of ${snippets.length} snippets run`,
    { timeout: 120_000 },
    async () => {
      const name = page.replace(/\W/g, '-');
      // What the snippets of a page write is no other page's.
      const folder = `${reports}snippets-${name}/`;
      folders.push(folder);
      mkdirSync(folder, { recursive: true });
      writeFileSync(`${folder}ca.pem`, certificate.cert);
      const files: string[] = [];
      for (const snippet of toRun) {
        const file = `${folder}${name}-line-${snippet.line}.mjs`;
        writeFileSync(file, await runnable(snippet));
        files.push(file);
      }
      // Code that a snippet omits is in a comment above it: `<!-- before: const app = ... -->` (snippets.ts).
      expect(await run(folder, files)).toBeUndefined();
    },
  );

  for (const snippet of snippets.filter((each) => !toRun.includes(each))) {
    // Each one appears in the report, with its reason.
    test.skip(`line ${snippet.line}: ${missing(snippet)}`, () => {});
  }
});
