/**
 * The figures as text: ours first, then each peer with its value relative to ours.
 *
 * @param {import('./rounds.mjs').Figure[]} figures
 */
export function table(figures) {
  return figures.map(block).join('\n');
}

/** @param {import('./rounds.mjs').Figure} figure */
function block({ name, unit, better, ours, peers, ratio, ratios, against, aim, reached, spread, rounds }) {
  const spreadText = spread > 0 ? `  ±${(spread * 100).toFixed(0)} %` : '';
  const lines = [
    `${name}  [${unit}, ${better} is better, ${rounds} round${rounds === 1 ? '' : 's'}]`,
    line('mssql-token-pool', number(ours), spreadText),
    ...Object.entries(peers).map(([peer, value]) => line(peer, number(value), `  ours is ${times(ratios[peer])}`)),
    `  ${reached ? 'reached' : 'NOT REACHED'}: ${aim}  (${times(ratio)} ${against})`,
  ];
  return `${lines.join('\n')}\n`;
}

/** @param {string} label @param {string} value @param {string} rest */
function line(label, value, rest) {
  return `  ${label.padEnd(52)}${value.padStart(12)}${rest}`;
}

/** @param {number} ratio */
export function times(ratio) {
  return Number.isFinite(ratio) ? `${number(ratio)} x` : '-';
}

/** Rounds to the precision that a benchmark supports. @param {number} value */
export function number(value) {
  if (value === 0) return '0';
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : Math.abs(value) >= 1 ? 2 : 3;
  return value.toFixed(digits);
}
