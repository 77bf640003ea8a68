/**
 * @typedef {object} Figure One row of the table, as stored in bench/results.json.
 * @property {string} [program] The file under figures/ that measured it.
 * @property {string} name
 * @property {string} unit
 * @property {'lower' | 'higher'} better
 * @property {number} ours
 * @property {Record<string, number>} peers
 * @property {number} ratio Ours relative to `against`: the median of the ratios of each round, not the ratio of medians.
 * @property {string} against Name of the peer that `ratio` refers to; the best one unless the target names another.
 * @property {Record<string, number>} ratios Ours relative to each peer.
 * @property {string} aim
 * @property {boolean} reached
 * @property {number} spread Half the interquartile range of ours, as a fraction of the median.
 * @property {number} rounds
 */

/** The name of our own result. */
export const OURS = 'mssql-token-pool';

/** @param {number[]} values */
export function median(values) {
  return quantile(values, 0.5);
}

/** @param {number[]} values @param {number} at */
export function quantile(values, at) {
  const sorted = [...values].sort((a, b) => a - b);
  const place = (sorted.length - 1) * at;
  const below = sorted[Math.floor(place)] ?? Number.NaN;
  const above = sorted[Math.ceil(place)] ?? Number.NaN;
  return below + (above - below) * (place - Math.floor(place));
}

/**
 * Runs every contestant once per round, each round starting with a different one, so that other load on the machine affects
 * all of them equally.
 *
 * @param {Record<string, () => number | Promise<number>>} contestants
 * @param {{ rounds: number, warmUp?: number }} options
 * @returns {Promise<Record<string, number[]>>} results by name, one per round
 */
export async function interleave(contestants, options) {
  const { value } = await interleaveMany(
    mapValues(contestants, (run) => async () => ({ value: await run() })),
    options,
  );
  return value;
}

/**
 * The same for contestants that measure several things in one run.
 *
 * @param {Record<string, () => Promise<Record<string, number>>>} contestants
 * @param {{ rounds: number, warmUp?: number }} options
 * @returns {Promise<Record<string, Record<string, number[]>>>} by measurement, then by name
 */
export async function interleaveMany(contestants, { rounds, warmUp = 1 }) {
  const names = Object.keys(contestants);
  /** @type {Record<string, Record<string, number[]>>} */
  const results = {};
  for (let round = -warmUp; round < rounds; round += 1) {
    for (let i = 0; i < names.length; i += 1) {
      const name = names[(i + round + warmUp) % names.length];
      const measured = await contestants[name]();
      if (round < 0) continue;
      for (const [what, value] of Object.entries(measured)) {
        if (!Number.isFinite(value)) throw new Error(`${name}: ${what} is ${value}`);
        results[what] ??= Object.fromEntries(names.map((each) => [each, []]));
        results[what][name].push(value);
      }
    }
  }
  return results;
}

/**
 * @param {{
 *   name: string, unit: string, better?: 'lower' | 'higher', aim: string, against?: string,
 *   results: Record<string, number[]>, reached: (figure: Figure) => boolean,
 * }} row
 * @returns {Figure}
 */
export function figure({ name, unit, better = 'lower', aim, against, results, reached }) {
  const { [OURS]: own, ...others } = results;
  const peers = mapValues(others, median);
  const ratios = mapValues(others, (values) => median(values.map((value, round) => share(own[round], value))));
  const best = Object.keys(peers).sort((a, b) => (better === 'lower' ? peers[a] - peers[b] : peers[b] - peers[a]))[0];
  const chosen = against ?? best;
  const ours = median(own);
  const row = {
    ...{ name, unit, better, ours, peers, ratio: ratios[chosen], against: chosen, ratios, aim, reached: false },
    spread: ours === 0 ? 0 : (quantile(own, 0.75) - quantile(own, 0.25)) / 2 / ours,
    rounds: own.length,
  };
  row.reached = reached(row);
  return row;
}

/** @param {number} a @param {number} b */
function share(a, b) {
  return a === b ? 1 : a / b;
}

/** @template T @template U @param {Record<string, T>} object @param {(value: T) => U} map */
function mapValues(object, map) {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, map(value)]));
}
