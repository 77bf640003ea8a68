import { mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createCredential } from '../../../src/index.js';
import { type EntraEmulator, startEntraEmulator } from '../../../src/testing/index.js';
import { chromiumPath, startChromium, warnIfMissing } from '../../support/chromium.js';

const SCOPE = 'https://database.windows.net/.default';
/** For manual review when the page changes; not compared, because fonts differ between machines. */
const screenshots = process.env.SCREENSHOTS ?? join(tmpdir(), 'mssql-token-pool-screenshots');

warnIfMissing();

describe.skipIf(chromiumPath === undefined)('interactive sign-in in a real browser', () => {
  let entra: EntraEmulator;
  let browser: Browser;

  beforeAll(async () => {
    mkdirSync(screenshots, { recursive: true });
    entra = await startEntraEmulator();
    browser = await startChromium();
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    await entra?.close();
  });

  /** Signs in with a browser that `act` controls as the user; returns the answer and the last page. */
  async function signIn<T>(act: (page: Page) => Promise<T>) {
    const page = await browser.newPage({ viewport: { width: 900, height: 600 } });
    let acting: Promise<T> | undefined;
    const person = createCredential({
      method: 'interactive',
      tenantId: entra.tenantId,
      authority: entra.url,
      username: entra.user.userName,
      openBrowser: async (url) => {
        await page.goto(url);
        acting = act(page);
      },
    });
    const answer = await person.getToken(SCOPE).catch((error: Error & { code?: string }) => error);
    const left = await acting;
    await page.close();
    return { answer, left };
  }

  test('ends on a page that confirms it', async () => {
    const { answer, left } = await signIn(async (page) => {
      expect(await page.getByLabel('User name').inputValue()).toBe(entra.user.userName);
      await page.getByLabel('Password').fill(entra.user.password);
      await page.getByRole('button', { name: 'Sign in' }).click();
      await page.getByText('You can close this page and go back').waitFor();
      await page.screenshot({ path: join(screenshots, 'signed-in.png') });
      return { url: page.url(), heading: await page.getByRole('heading').textContent() };
    });
    expect(entra.verify((answer as { token: string }).token)).toMatchObject({ upn: entra.user.userName });
    // The code was sent by POST, so it is in no URL, history or Referer.
    expect(left).toEqual({ url: expect.stringMatching(/^http:\/\/localhost:\d+\/$/), heading: 'Signed in' });
  });

  test('that is cancelled ends on a page with the reason', async () => {
    const { answer, left } = await signIn(async (page) => {
      await page.getByRole('button', { name: 'Cancel' }).click();
      await page.getByText('You cancelled the sign-in.').waitFor();
      await page.screenshot({ path: join(screenshots, 'not-signed-in.png') });
      return page.getByRole('heading').textContent();
    });
    expect(answer).toMatchObject({ code: 'ERR_INTERACTION_REQUIRED' });
    expect(left).toBe('Not signed in');
  });
});
