import { readFileSync } from 'node:fs';
import { defineConfig } from 'vitepress';

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

export default defineConfig({
  title: 'mssql-token-pool',
  description: DESCRIPTION,
  cleanUrls: true,
  // Files of the repository outside of docs/; test/docs/complete checks that they exist.
  ignoreDeadLinks: [/^\.\/\.\.\//],
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
      // Guides before the reference, which would fill the list.
      options: {
        miniSearch: { searchOptions: { boostDocument: (id: string) => (id.includes('/api/') ? 0.2 : 1) } },
      },
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
