import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startEntraEmulator } from '../../../src/testing/index.js';
import { claimsOf, publicClient, SCOPES } from './clients/msal.js';

const executablePath = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium';

describe.skipIf(!existsSync(executablePath))('in a real browser', () => {
  let browser: Browser;
  beforeAll(async () => {
    // Containers have no user namespaces for Chromium's sandbox; the only pages shown are ours.
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  });
  afterAll(() => browser?.close());

  test('a person signs in by keyboard, after a wrong password, and lands on the page of the application', async () => {
    await using entra = await startEntraEmulator();
    const page = await browser.newPage();
    const result = await publicClient(entra).acquireTokenInteractive({
      scopes: SCOPES,
      loginHint: entra.user.userName,
      successTemplate: '<h1>Welcome</h1>',
      openBrowser: async (url) => {
        await page.goto(url);
        expect(await page.getByLabel('User name').inputValue()).toBe(entra.user.userName);
        await page.keyboard.type('wrong');
        await page.keyboard.press('Enter');
        expect(await page.getByRole('alert').textContent()).toContain('AADSTS50126');
        await page.keyboard.type(entra.user.password);
        await page.keyboard.press('Enter');
        await page.getByRole('heading', { name: 'Welcome' }).waitFor();
      },
    });
    expect(claimsOf(entra, result)).toMatchObject({ upn: entra.user.userName });
  });

  test('a person types in the code of another device', async () => {
    await using entra = await startEntraEmulator({ deviceCode: { intervalSeconds: 0.05 } });
    const page = await browser.newPage();
    const result = publicClient(entra).acquireTokenByDeviceCode({ scopes: SCOPES, deviceCodeCallback: () => {} });
    await expect.poll(() => entra.deviceSignIns.length).toBe(1);
    await page.goto(`${entra.url}/common/oauth2/deviceauth`);
    await page.keyboard.type(entra.deviceSignIns[0]?.userCode ?? '');
    await page.getByLabel('User name').fill(entra.user.userName);
    await page.getByLabel('Password').fill(entra.user.password);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('heading', { name: 'Signed in' }).waitFor();
    expect(claimsOf(entra, await result)).toMatchObject({ upn: entra.user.userName });
  });
});
