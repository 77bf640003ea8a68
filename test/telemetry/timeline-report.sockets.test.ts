import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Timeline } from '../../src/telemetry/timeline.js';
import { chromiumPath, startChromium, warnIfMissing } from '../support/chromium.js';

// The built one, because the page's script is bundled by the build; not known to tsc, which runs before it.
const built = new URL('../../dist/telemetry/timeline.js', import.meta.url).href;
const { timelineReport }: typeof import('../../src/telemetry/timeline.js') = await import(built);

const START = Date.UTC(2026, 0, 31, 9);
const at = (seconds: number) => START + seconds * 1000;

/** What happens an hour after deployment, in seconds: tokens live 10 s. */
const stock: Timeline = {
  title: 'mssql as it is </script><script>document.title = "broken"</script>',
  from: START,
  to: at(30),
  worstWaitMs: 1_234,
  events: [
    { at: at(0), kind: 'opened', connection: '1', tokenExpiresOn: at(10) },
    { at: at(1), kind: 'opened', connection: '2', tokenExpiresOn: at(10) },
    { at: at(12), kind: 'login-refused', message: 'Login failed. Token is expired.' },
    { at: at(12), kind: 'failure', message: 'ConnectionError: Login failed. Token is expired.' },
    { at: at(13), kind: 'login-lost', message: 'The connection was cut during the login.' },
    { at: at(20), kind: 'closed', connection: '1', reason: 'closed' },
  ],
};
const ours: Timeline = {
  title: 'mssql-token-pool',
  from: START,
  to: at(30),
  events: [
    { at: at(0), kind: 'token', tokenId: 'a', expiresOn: at(10), durationMs: 40 },
    { at: at(0.1), kind: 'opened', connection: '1', tokenId: 'a', tokenExpiresOn: at(10), durationMs: 31 },
    { at: at(6), kind: 'token', tokenId: 'b', expiresOn: at(16), durationMs: 40 },
    { at: at(7), kind: 'opened', connection: '2', tokenId: 'b', tokenExpiresOn: at(16), durationMs: 30 },
    { at: at(7), kind: 'renewed', connection: '2', replaced: '1' },
    { at: at(7), kind: 'closed', connection: '1', reason: 'renewed' },
    { at: at(9), kind: 'wait', waitedMs: 120, gaveUp: false },
    { at: at(14), kind: 'closed', connection: '2', reason: 'renewed' },
  ],
};

warnIfMissing();

describe.skipIf(chromiumPath === undefined)('the report in a browser', () => {
  const folder = mkdtempSync(join(tmpdir(), 'timeline-'));
  const file = join(folder, 'out.html');
  let browser: Browser;

  beforeAll(async () => {
    writeFileSync(file, timelineReport([stock, ours], { title: 'Stock and ours' }));
    browser = await startChromium();
  });
  afterAll(async () => {
    await browser?.close();
    rmSync(folder, { recursive: true });
  });

  async function open(options: Parameters<Browser['newContext']>[0] = {}): Promise<Page & AsyncDisposable> {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, offline: true, ...options });
    const page = await context.newPage();
    page.on('pageerror', (error) => errors.push(error.message));
    page.on('request', (request) => requests.push(request.url()));
    await page.goto(pathToFileURL(file).href);
    await page.locator('svg rect').first().waitFor();
    return Object.assign(page, { [Symbol.asyncDispose]: () => context.close() });
  }
  const errors: string[] = [];
  const requests: string[] = [];

  test('draws each timeline without network access and without an error', async () => {
    await using page = await open();
    expect(await page.title()).toBe('Stock and ours');
    expect(await page.locator('h2').allTextContents()).toEqual([stock.title, ours.title]);
    // Two connections that stay open after their token has expired (two bars each), and two that do not.
    expect(await page.locator('section').nth(0).locator('svg rect').count()).toBe(4);
    expect(await page.locator('section').nth(1).locator('svg rect').count()).toBe(2);
    expect(errors).toEqual([]);
    expect(requests.filter((url) => !url.startsWith('file:'))).toEqual([]);
  });

  test('shows the worst wait of both sides, as measured by the application or as recorded', async () => {
    await using page = await open();
    const facts = await page.locator('.facts').allTextContents();
    expect(facts.map((text) => /[\d]+ ms worst wait/.exec(text)?.[0])).toEqual([
      '1234 ms worst wait',
      '120 ms worst wait',
    ]);
  });

  test('a login that the network cut off does not count as refused', async () => {
    await using page = await open();
    const section = page.locator('section').nth(0);
    expect(await section.locator('.facts').textContent()).toContain('1 logins refused');
    const lanes = await section.locator('g[aria-label="y-axis tick label"] text').allTextContents();
    expect(lanes).toEqual(['logins refused', 'logins cut off', 'errors in the app', 'connection 1', 'connection 2']);
  });

  test('the legend is beside the charts, above them on a phone', async () => {
    const boxes = async (width: number) => {
      await using page = await open({ viewport: { width, height: 800 } });
      const [legend, chart] = await Promise.all(['.legend', '.charts'].map((css) => page.locator(css).boundingBox()));
      if (!legend || !chart) throw new Error('not drawn');
      return { legend, chart };
    };
    const wide = await boxes(1280);
    expect(wide.legend.x).toBeGreaterThanOrEqual(wide.chart.x + wide.chart.width);
    expect(wide.legend.y).toBe(wide.chart.y);
    const narrow = await boxes(420);
    expect(narrow.legend.y + narrow.legend.height).toBeLessThanOrEqual(narrow.chart.y);
  });

  test('shows what is known of a connection when the pointer is on its bar', async () => {
    await using page = await open();
    const section = page.locator('section').nth(1);
    const box = await section.locator('svg rect').first().boundingBox();
    if (box === null) throw new Error('no bar');
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    await expect.poll(() => section.locator('g[aria-label="tip"] text').allTextContents()).not.toEqual([]);
    const text = (await section.locator('g[aria-label="tip"]').allTextContents()).join(' ');
    expect(text).toContain('connection 1');
    expect(text).toContain('renewed');
  });

  test('follows the light or dark colour scheme of the system', async () => {
    const backgrounds = [];
    for (const colorScheme of ['light', 'dark'] as const) {
      await using page = await open({ colorScheme });
      backgrounds.push(await page.evaluate('getComputedStyle(document.body).backgroundColor'));
    }
    expect(backgrounds).toEqual(['rgb(255, 255, 255)', 'rgb(20, 23, 27)']);
  });

  test('fits a phone screen', async () => {
    await using page = await open({ viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true });
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(360);
    const chart = await page.locator('svg').first().boundingBox();
    expect(chart?.width).toBeLessThanOrEqual(360);
    expect(chart?.width).toBeGreaterThan(280);
  });

  test('lists the events as text', async () => {
    await using page = await open();
    await page.locator('details summary').nth(1).click();
    expect(await page.locator('table').nth(1).textContent()).toContain('reason: renewed');
  });
});
