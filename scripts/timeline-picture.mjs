// Takes the picture of the timeline for README.md and docs/telemetry.md from the demo: node scripts/timeline-picture.mjs (after
// `npm run build`). It is narrow, so that its text stays readable on a phone.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { crc32, deflateSync } from 'node:zlib';
import { chromium } from 'playwright-core';

const WIDTH = 560;
const folder = mkdtempSync(join(tmpdir(), 'picture-'));
const report = join(folder, 'out.html');
const images = new URL('../docs/images/', import.meta.url);
mkdirSync(images, { recursive: true });

execFileSync(process.execPath, ['dist/cli/main.js', 'demo', '--seconds', '14', '--report', report], {
  stdio: 'inherit',
});
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-lcd-text'],
});
for (const colorScheme of ['light', 'dark']) {
  const viewport = { width: WIDTH, height: 400 };
  const page = await browser.newPage({ viewport, deviceScaleFactor: 2, colorScheme, offline: true });
  await page.goto(pathToFileURL(report).href);
  await page.locator('svg rect').first().waitFor();
  // Hides interactive elements and shrinks the headings to suit an inline picture.
  await page.addStyleTag({ content: 'details { display: none } h1 { font-size: 1rem } main { padding: 8px }' });
  const path = new URL(`timeline-${colorScheme}.png`, images).pathname;
  const png = withPalette(await pixelsOf(page, await page.screenshot({ fullPage: true })));
  writeFileSync(path, png);
  console.log(`${path}: ${(png.length / 1000).toFixed(0)} kB`);
}
await browser.close();
rmSync(folder, { recursive: true });

/** The browser decodes its own screenshot. */
async function pixelsOf(page, screenshot) {
  const { width, height, rgba } = await page.evaluate(async (base64) => {
    const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${base64}`)).blob());
    const context = new OffscreenCanvas(image.width, image.height).getContext('2d');
    context.drawImage(image, 0, 0);
    const { width, height, data } = context.getImageData(0, 0, image.width, image.height);
    const bytes = await new Promise((resolve) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result.split(',')[1]);
      reader.readAsDataURL(new Blob([data]));
    });
    return { width, height, rgba: bytes };
  }, screenshot.toString('base64'));
  return { width, height, rgba: Buffer.from(rgba, 'base64') };
}

/** A PNG with the 256 most frequent colors, a fifth of the browser's size; the others are antialiasing grays. */
function withPalette({ width, height, rgba }) {
  const colours = new Map();
  for (let i = 0; i < rgba.length; i += 4) {
    const rgb = rgba.readUIntBE(i, 3);
    colours.set(rgb, (colours.get(rgb) ?? 0) + 1);
  }
  const palette = [...colours.keys()].sort((a, b) => colours.get(b) - colours.get(a)).slice(0, 256);
  const channels = (rgb) => [rgb >> 16, (rgb >> 8) & 255, rgb & 255];
  const distance = (a, b) => channels(a).reduce((sum, value, i) => sum + (value - channels(b)[i]) ** 2, 0);
  const indexOf = new Map();
  for (const rgb of colours.keys()) {
    const nearest = palette.reduce((best, each) => (distance(rgb, each) < distance(rgb, best) ? each : best));
    indexOf.set(rgb, palette.indexOf(nearest));
  }
  const rows = Buffer.alloc((width + 1) * height); // each row begins with its filter: none
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      rows[y * (width + 1) + 1 + x] = indexOf.get(rgba.readUIntBE((y * width + x) * 4, 3));
    }
  }
  const header = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 8, 3, 0, 0, 0]); // 8 bits, palette
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    chunk('PLTE', Buffer.from(palette.flatMap(channels))),
    chunk('IDAT', deflateSync(rows, { level: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(type, data) {
  const named = Buffer.concat([Buffer.from(type), data]);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  sum.writeUInt32BE(crc32(named));
  return Buffer.concat([length, named, sum]);
}
