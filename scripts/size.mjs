// The install size: the package packed and unpacked, and each entry point with everything it loads immediately.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const kB = (bytes) => `${(bytes / 1000).toFixed(1)} kB`;
const [packed] = JSON.parse(
  execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { encoding: 'utf8' }),
);
console.log(`Packed ${kB(packed.size)}, unpacked ${kB(packed.unpackedSize)}, ${packed.entryCount} files.\n`);
console.log('| entry point | own code, minified | gzipped |\n| --- | ---: | ---: |');

const { exports } = JSON.parse(readFileSync('package.json', 'utf8'));
for (const [name, { default: { default: file } = {} }] of Object.entries(exports)) {
  if (file === undefined) continue;
  const { outputFiles } = await build({
    entryPoints: [file],
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    write: false,
    logLevel: 'error',
  });
  const code = outputFiles[0].contents;
  console.log(`| ${name.replace('.', 'mssql-token-pool')} | ${kB(code.length)} | ${kB(gzipSync(code).length)} |`);
}
