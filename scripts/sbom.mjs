// The software bill of materials (SPDX) of what a user installs: the packed package in an empty project.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const folder = mkdtempSync(join(tmpdir(), 'sbom-'));
try {
  const npm = (args, cwd) => execFileSync('npm', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  const [{ filename, version }] = JSON.parse(npm(['pack', '--json', '--ignore-scripts', '--pack-destination', folder]));
  const project = { name: 'install-of-mssql-token-pool', version, private: true };
  writeFileSync(join(folder, 'package.json'), JSON.stringify(project));
  npm(['install', '--ignore-scripts', '--omit=peer', '--no-audit', '--no-fund', `./${filename}`], folder);
  process.stdout.write(npm(['sbom', '--sbom-format', 'spdx'], folder));
} finally {
  rmSync(folder, { recursive: true });
}
