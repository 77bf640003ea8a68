// Bundles the page of the timeline report (report/) into dist, with the licenses of its dependencies.
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { build } from 'esbuild';

const { metafile } = await build({
  entryPoints: ['report/page.ts'],
  outfile: 'dist/telemetry/timeline-page.js',
  bundle: true,
  minify: true,
  format: 'iife',
  target: 'es2022',
  legalComments: 'none',
  metafile: true,
});
cpSync('report/page.css', 'dist/telemetry/timeline-page.css');

const packages = new Set(
  Object.keys(metafile.inputs).flatMap((path) => /^(node_modules\/(@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? []),
);
const licences = [...packages].sort().map((path) => {
  const { name, version } = JSON.parse(readFileSync(`${path}/package.json`, 'utf8'));
  return `${name} ${version}\n\n${readFileSync(`${path}/LICENSE`, 'utf8').trim()}\n`;
});
writeFileSync('dist/telemetry/timeline-page.LICENSES.txt', licences.join('\n\n'));
