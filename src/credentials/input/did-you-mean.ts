/** Longer text is not a misspelt name, and the time for a comparison grows with the square of the length. */
const LONGEST_NAME = 60;

/**
 * ` Did you mean 'clientSecret'?`, or an empty text. Only known names are quoted: a mistyped one may be a secret that
 * ended up in the wrong place.
 *
 * @param prefix what users write before a name: `--` for an option of a program
 */
export function didYouMean(given: unknown, known: readonly string[], prefix = ''): string {
  const name = closest(given, known);
  return name === undefined ? '' : ` Did you mean '${prefix}${name}'?`;
}

/** The known name that differs least: in case, separators, or at most two letters. */
export function closest(given: unknown, known: readonly string[]): string | undefined {
  if (typeof given !== 'string' || given.length > LONGEST_NAME) return undefined;
  const wanted = plain(given);
  if (wanted.length < 3) return undefined;
  let best: { name: string; distance: number } | undefined;
  for (const name of known) {
    const distance = editDistance(wanted, plain(name));
    if (distance < (best?.distance ?? 3)) best = { name, distance };
  }
  return best !== undefined && best.distance <= Math.floor(wanted.length / 3) ? best.name : undefined;
}

function plain(name: string): string {
  return name.replaceAll(/[\s_-]/g, '').toLowerCase();
}

/** Levenshtein distance, with one row of the table in memory. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, i) => i);
  for (let i = 1; i <= from.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= to.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
