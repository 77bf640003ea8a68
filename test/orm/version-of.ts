import { readFileSync } from 'node:fs';

/** The installed version of a package, by its folder: not every package exports its package.json. */
export function versionOf(name: string, from = new URL('../../', import.meta.url)): string {
  const manifest = readFileSync(new URL(`node_modules/${name}/package.json`, from), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}
