import { existsSync, readdirSync } from 'node:fs';
import { defineConfig } from 'vitepress';

const docs = new URL('../', import.meta.url);

/** Pages in the order of the sidebar; what is not here yet is left out, what is new and not here comes last. */
const ORDER: [title: string, pages: [file: string, title: string][]][] = [
  [
    'Start',
    [
      ['quick-start', 'Quick start'],
      ['credentials', 'Which credential'],
      ['migration', 'Migration'],
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
      ['shared-token-cache', 'Shared token cache'],
    ],
  ],
  [
    'Understand',
    [
      ['how-it-works', 'How it works'],
      ['security', 'Security model'],
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
      ['testing-entra-emulator', 'Entra emulator'],
      ['testing-sql-emulator', 'SQL emulator'],
      ['testing-gateway', 'Gateway'],
    ],
  ],
];

const known = new Set(ORDER.flatMap(([, pages]) => pages.map(([file]) => file)));
const others = readdirSync(docs)
  .filter((name) => name.endsWith('.md') && name !== 'index.md' && !known.has(name.slice(0, -3)))
  .map((name) => ({ text: name.slice(0, -3).replaceAll('-', ' '), link: `/${name.slice(0, -3)}` }));

export default defineConfig({
  title: 'mssql-token-pool',
  description: 'SQL Server connection pools for Node.js that never log in with a stale Microsoft Entra token',
  cleanUrls: true,
  // Links out of docs/ are for readers on the forge.
  ignoreDeadLinks: [/^\.\.?\/\.\.?\//, /^\.\/\.\.\//],
  themeConfig: {
    search: { provider: 'local' },
    outline: [2, 3],
    nav: [
      { text: 'Quick start', link: '/quick-start' },
      { text: 'API', link: '/api/' },
    ],
    sidebar: [
      ...ORDER.map(([text, pages]) => ({
        text,
        items: pages
          .filter(([file]) => existsSync(new URL(`${file}.md`, docs)))
          .map(([file, title]) => ({ text: title, link: `/${file}` })),
      })),
      ...(others.length > 0 ? [{ text: 'More', items: others }] : []),
      { text: 'Reference', items: [{ text: 'API', link: '/api/' }] },
    ],
  },
});
