import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

const PLACES = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** Debian's chromium, or the one that CHROMIUM names; undefined if there is none. */
export const chromiumPath = PLACES.find((path) => path !== undefined && existsSync(path));

/** Warns that tests are skipped because there is no browser. */
export function warnIfMissing(): void {
  if (chromiumPath === undefined) {
    console.warn('SKIPPED: no chromium here. apt-get install chromium, or set CHROMIUM to its path.');
  }
}

export function startChromium(): Promise<Browser> {
  return chromium.launch({ executablePath: chromiumPath as string, args: ['--no-sandbox'] });
}
