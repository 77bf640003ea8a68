import { copyFileSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig, type MarkdownRenderer } from 'vitepress';

/** Every page of docs/, in the order of the sidebar. */
const ORDER: [title: string, pages: [file: string, title: string][]][] = [
  [
    'Start',
    [
      ['quick-start', 'Quick start'],
      ['which-credential', 'Which credential'],
      ['migration', 'From rebuilding pools'],
      ['migrating-credentials', 'Migrating credentials'],
      ['faq', 'FAQ'],
    ],
  ],
  [
    'Use',
    [
      ['mssql', 'mssql'],
      ['orms', 'ORMs'],
      ['settings', 'Settings'],
      ['errors', 'Errors'],
      ['transactions', 'Transactions'],
      ['sessions', 'Sessions'],
      ['loading', 'Bundlers and test runners'],
      ['many-identities', 'Many identities'],
      ['shared-token-cache', 'Shared token cache'],
      ['other-databases', 'Other databases'],
    ],
  ],
  [
    'Understand',
    [
      ['how-it-works', 'How it works'],
      ['promises', 'Promises'],
      ['security', 'Security model'],
      ['compatibility', 'Compatibility'],
      ['benchmarks', 'Benchmarks'],
    ],
  ],
  [
    'Operate',
    [
      ['operating', 'Operating it'],
      ['telemetry', 'Telemetry'],
      ['doctor', 'Doctor'],
    ],
  ],
  [
    'Test',
    [
      ['testing', 'The test kit'],
      ['testing-entra-emulator', 'Entra emulator'],
      ['testing-sql-emulator', 'SQL emulator'],
      ['testing-gateway', 'Gateway'],
      ['conformance', 'Conformance'],
      ['mutation-testing', 'Mutation testing'],
    ],
  ],
];

const DESCRIPTION = 'SQL Server connection pools for Node.js that never log in with a stale Microsoft Entra token';
const { version, repository } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
/** Known once the package names its repository. */
const source = repository?.url?.replace(/^git\+|\.git$/g, '');

/**
 * Files of the repository outside of docs/ (test/docs/complete checks that they exist) are links into the repository, and plain
 * text as long as the package names none.
 */
function linkToRepository(markdown: MarkdownRenderer): void {
  markdown.core.ruler.push('link-to-repository', ({ tokens }) => {
    for (const { children } of tokens) {
      let isOutside = false;
      for (const token of children ?? []) {
        const href = token.type === 'link_open' ? String(token.attrGet('href')) : '';
        if (token.type === 'link_open') isOutside = href.startsWith('../');
        if (!isOutside || !/^link_(open|close)$/.test(token.type)) continue;
        if (source === undefined) token.type = 'text';
        else if (token.type === 'link_open') token.attrSet('href', href.replace('..', `${source}/blob/main`));
      }
    }
  });
}

/**
 * Guides come before the reference, but for the page of the very name that was typed, and before pages that report results. It
 * runs in the browser, so all that it needs is in it.
 */
function boostDocument(id: string, term: string): number {
  const weights: Record<string, number> = {
    errors: 2,
    transactions: 2,
    'which-credential': 1.7,
    compatibility: 0.3,
    conformance: 0.3,
    benchmarks: 0.3,
    'mutation-testing': 0.3,
  };
  const [, page = '', isApi] = /^\/((api\/)?[^.#]*)/.exec(id) ?? [];
  if (!isApi) return weights[page] ?? 1;
  if (page.includes('Other-types')) return 0.05;
  return page.toLowerCase().endsWith(`/${term.toLowerCase()}`) ? 1 : 0.2;
}

export default defineConfig({
  title: 'mssql-token-pool',
  description: DESCRIPTION,
  cleanUrls: true,
  markdown: { config: linkToRepository },
  // Files that guides link to, to be downloaded.
  buildEnd({ srcDir, outDir }) {
    for (const file of readdirSync(srcDir).filter((each) => /\.(json|yml)$/.test(each))) {
      copyFileSync(join(srcDir, file), join(outDir, file));
    }
  },
  head: [
    ['link', { rel: 'icon', type: 'image/svg+xml', href: '/favicon.svg' }],
    ['meta', { property: 'og:title', content: 'mssql-token-pool' }],
    ['meta', { property: 'og:description', content: DESCRIPTION }],
    ['meta', { property: 'og:type', content: 'website' }],
  ],
  // The search index is one chunk, loaded by the first search.
  vite: { build: { chunkSizeWarningLimit: 2_000 } },
  themeConfig: {
    search: {
      provider: 'local',
      options: { miniSearch: { searchOptions: { boostDocument } } },
    },
    outline: [2, 3],
    nav: [
      { text: 'Quick start', link: '/quick-start' },
      { text: 'API', link: '/api/' },
      { text: `v${version}`, link: '/compatibility' },
    ],
    ...(source && { editLink: { pattern: `${source}/edit/main/docs/:path`, text: 'Edit this page' } }),
    sidebar: [
      ...ORDER.map(([text, pages]) => ({
        text,
        items: pages.map(([file, title]) => ({ text: title, link: `/${file}` })),
      })),
      { text: 'Reference', items: [{ text: 'API', link: '/api/' }] },
    ],
  },
});
