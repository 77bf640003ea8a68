// Writes bench/results.json into docs/benchmarks.md: all results, and those below their target. `npm run bench` does it too.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { publishFigures } from './figures-in-docs.mjs';
import { number, times } from './lib/table.mjs';

/** @param {import('./lib/rounds.mjs').Figure[]} figures */
export function publishResults(figures) {
  const publish = (/** @type {string} */ name, /** @type {object[]} */ rows) =>
    publishFigures('benchmarks.md', name, rows, { write: true, print: false });
  publish('results', figures.map(row));
  const below = figures.filter(({ reached }) => !reached).map(row);
  publish('those below target', below.length > 0 ? below : [{ figure: 'none' }]);
}

/** @param {import('./lib/rounds.mjs').Figure} figure */
function row({ name, unit, ours, peers, ratio, against, aim, reached, spread }) {
  const peer = peers[against];
  return {
    figure: name,
    ours: `${number(ours)} ${unit}${spread > 0 ? ` ±${(spread * 100).toFixed(0)} %` : ''}`,
    'compared with': peer === undefined ? '' : `${against}: ${number(peer)}`,
    ratio: times(ratio),
    target: aim,
    reached: reached ? 'yes' : 'no',
  };
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  publishResults(JSON.parse(readFileSync(new URL('./results.json', import.meta.url), 'utf8')));
}
