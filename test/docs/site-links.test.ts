import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ROOT } from './snippets.js';

const site = new URL('docs/.vitepress/dist/', ROOT);
const isBuilt = existsSync(new URL('index.html', site));
if (!isBuilt) console.warn('SKIPPED: the site is not built. npm run docs');

test.skipIf(!isBuilt)('no guide of the site has a link to a page that is not there', () => {
  const pages = readdirSync(site).filter((file) => file.endsWith('.html') && file !== '404.html');
  expect(pages.length).toBeGreaterThan(20);
  const dead = pages.flatMap((file) => {
    const html = readFileSync(new URL(file, site), 'utf8');
    const hrefs = [...html.matchAll(/\shref="([^"#]*)(?:#[^"]*)?"/g)].map(
      ([, href = '']) => new URL(href, `https://site/${file}`),
    );
    const local = hrefs.filter(({ host, pathname }) => host === 'site' && !pathname.startsWith('/assets/'));
    return local.filter(({ pathname }) => !isPage(pathname)).map(({ pathname }) => `${file}: ${pathname}`);
  });
  expect(dead).toEqual([]);
});

/** The file that a static server with clean URLs would serve. */
function isPage(pathname: string): boolean {
  const path = decodeURIComponent(pathname).slice(1);
  return [path, `${path}.html`, `${path}index.html`, `${path}/index.html`].some(
    (each) => each !== '' && /\.\w+$/.test(each) && existsSync(new URL(each, site)),
  );
}
