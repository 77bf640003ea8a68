import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chromiumPath, startChromium, warnIfMissing } from '../support/chromium.js';

const site = new URL('../../docs/.vitepress/dist/', import.meta.url);
const isBuilt = existsSync(new URL('index.html', site));
if (!isBuilt) console.warn('SKIPPED: the site is not built. npm run docs');
warnIfMissing();

const TYPES: Record<string, string> = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css' };

describe.skipIf(!isBuilt || chromiumPath === undefined)('the site', () => {
  let server: Server;
  let browser: Browser;

  beforeAll(async () => {
    server = createServer(async ({ url = '/' }, response) => {
      const path = url === '/' ? '/index.html' : extname(url) === '' ? `${url}.html` : url;
      try {
        const body = await readFile(new URL(`.${path}`, site));
        response.writeHead(200, { 'content-type': TYPES[extname(path)] ?? 'application/octet-stream' }).end(body);
      } catch {
        response.writeHead(404).end();
      }
    }).listen(0);
    browser = await startChromium();
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    server?.close();
  });

  test.each([
    ['40615', 'errors'],
    ['nestjs', 'loading'],
    ['retry', 'transactions'],
    ['expired', 'errors'],
    ['user-assigned', 'which-credential'],
    ['deadlock', 'transactions'],
    ['strictExpiry', 'settings'],
    ['certificate', 'which-credential'],
    ['createTokenPools', 'api/mssql-token-pool/functions/createTokenPools'],
  ])('its search for %s lists %s first', { timeout: 60_000 }, async (words, name) => {
    // A context of its own: the search remembers what was typed.
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(`http://localhost:${(server.address() as AddressInfo).port}/`);
    await page.locator('.VPNavBarSearch button').first().waitFor();
    await page.keyboard.press('Control+k');
    await page.locator('#localsearch-input').fill(words);
    const first = page.locator('#localsearch-list a').first();
    await expect.poll(() => first.getAttribute('href')).toMatch(new RegExp(`^/${name}`));
    await first.click();
    await page.waitForURL(`**/${name}**`);
    await page.locator('main', { hasText: words }).waitFor();
    await context.close();
  });
});
