import { OURS } from './rounds.mjs';
import { number } from './table.mjs';

const WIDTH = 860;
const LABEL = 330;
const BAR = 400;
const ROW = 19;
const TITLE = 26;
const GAP = 14;

/**
 * The figures as an image for the README: one block per figure, one bar per contestant, relative to ours, because absolute
 * numbers say more about a machine than about a library. Follows the reader's light or dark mode.
 *
 * @param {import('./rounds.mjs').Figure[]} figures
 */
export function chart(figures) {
  let y = 12;
  const blocks = figures.map((figure) => {
    const rows = [[OURS, figure.ours], ...Object.entries(figure.peers)];
    const most = Math.max(...rows.map(([, value]) => value));
    const title = `<text class="title" x="12" y="${y + 15}">${xmlText(figure.name)}<tspan class="hint">  ${figure.better} is better</tspan></text>`;
    const bars = rows.map(([name, value], i) => bar(figure, name, value, most, y + TITLE + i * ROW));
    y += TITLE + rows.length * ROW + GAP;
    return [title, ...bars].join('\n');
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" role="img" aria-label="Benchmark results of mssql-token-pool and its alternatives">
<style>
  text { font: 12px system-ui, sans-serif; fill: #57606a; }
  .title { font-weight: 600; fill: #1f2328; }
  .hint { font-weight: 400; fill: #818b98; }
  .ours { fill: #1a7f5a; }
  .peer { fill: #b6bec8; }
  text.own { fill: #1a7f5a; font-weight: 600; }
  @media (prefers-color-scheme: dark) {
    text { fill: #9198a1; }
    .title { fill: #f0f6fc; }
    .ours { fill: #3fb68b; }
    .peer { fill: #4b535d; }
    text.own { fill: #3fb68b; }
  }
</style>
${blocks.join('\n')}
</svg>
`;
}

/** @param {import('./rounds.mjs').Figure} figure @param {string} name @param {number} value @param {number} most @param {number} y */
function bar(figure, name, value, most, y) {
  const own = name === OURS;
  const width = most > 0 ? Math.max(1, (value / most) * BAR) : 1;
  return [
    `<text${own ? ' class="own"' : ''} x="${LABEL - 8}" y="${y + 12}" text-anchor="end">${xmlText(name)}</text>`,
    `<rect class="${own ? 'ours' : 'peer'}" x="${LABEL}" y="${y + 2}" width="${width.toFixed(1)}" height="13" rx="2"/>`,
    `<text${own ? ' class="own"' : ''} x="${(LABEL + width + 6).toFixed(1)}" y="${y + 12}">${label(figure, name, value)}</text>`,
  ].join('');
}

/** Counts are the same on every machine; everything else is shown relative to ours. */
const COUNTED = new Set(['requests', 'logins', 'timers', 'failures']);

/** @param {import('./rounds.mjs').Figure} figure @param {string} name @param {number} value */
function label(figure, name, value) {
  if (COUNTED.has(figure.unit)) return value.toFixed(0);
  if (name === OURS) return '1';
  return `${number(1 / figure.ratios[name])} ×`;
}

/** @param {string} text */
function xmlText(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
