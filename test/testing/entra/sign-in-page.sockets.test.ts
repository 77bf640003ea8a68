import { existsSync } from 'node:fs';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startEntraEmulator } from '../../../src/testing/index.js';
import { claimsOf, publicClient, SCOPES } from './clients/msal.js';

const executablePath = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium';

/** Types into the focused field. Chromium applies `autofocus` some time after the page has loaded, so wait for it first. */
async function typeAtFocus(page: Page, label: string, text: string): Promise<void> {
  await page.getByLabel(label).and(page.locator(':focus')).waitFor();
  await page.keyboard.type(text);
}

describe.skipIf(!existsSync(executablePath))('in a real browser', () => {
  let browser: Browser;
  beforeAll(async () => {
    // Containers have no user namespaces for Chromium's sandbox; the only pages shown are ours.
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  });
  afterAll(() => browser?.close());

  test("a user signs in by keyboard, after a wrong password, and ends on the application's page", async () => {
    await using entra = await startEntraEmulator();
    const page = await browser.newPage();
    const result = await publicClient(entra).acquireTokenInteractive({
      scopes: SCOPES,
      loginHint: entra.user.userName,
      successTemplate: '<h1>Welcome</h1>',
      openBrowser: async (url) => {
        await page.goto(url);
        expect(await page.getByLabel('User name').inputValue()).toBe(entra.user.userName);
        await typeAtFocus(page, 'Password', 'wrong');
        await page.keyboard.press('Enter');
        expect(await page.getByRole('alert').textContent()).toContain('AADSTS50126');
        await typeAtFocus(page, 'Password', entra.user.password);
        await page.keyboard.press('Enter');
        await page.getByRole('heading', { name: 'Welcome' }).waitFor();
      },
    });
    expect(claimsOf(entra, result)).toMatchObject({ upn: entra.user.userName });
  });

  test('a user enters the code of another device', async () => {
    await using entra = await startEntraEmulator({ deviceCode: { intervalSeconds: 0.05 } });
    const page = await browser.newPage();
    const result = publicClient(entra).acquireTokenByDeviceCode({ scopes: SCOPES, deviceCodeCallback: () => {} });
    result.catch(() => undefined); // If a step below fails, that step is the failure to report.
    await expect.poll(() => entra.deviceSignIns.length).toBe(1);
    await page.goto(`${entra.url}/common/oauth2/deviceauth`);
    await typeAtFocus(page, 'Code', entra.deviceSignIns[0]?.userCode ?? '');
    await page.getByLabel('User name').fill(entra.user.userName);
    await page.getByLabel('Password').fill(entra.user.password);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('heading', { name: 'Signed in' }).waitFor();
    expect(claimsOf(entra, await result)).toMatchObject({ upn: entra.user.userName });
  });
});
