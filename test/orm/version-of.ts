import { existsSync, readFileSync } from 'node:fs';

const ROOT = new URL('../../', import.meta.url);

/** The installed version of a package as `from` finds it; by its folder, as not every package exports its package.json. */
export function versionOf(name: string, from = ROOT): string {
  const manifest = new URL(`node_modules/${name}/package.json`, from);
  if (!existsSync(manifest) && from.href !== ROOT.href) return versionOf(name, new URL('../', from));
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
}
