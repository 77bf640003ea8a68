/** One element of a pattern: the characters that it matches as ranges of UTF-16 codes, or all characters but these. */
interface Element {
  readonly negated: boolean;
  /** In order, without overlap. */
  readonly ranges: readonly Range[];
}
type Range = readonly [first: number, last: number];
/** What lies between two `%`. */
type Segment = readonly Element[];

const ANY_CHARACTER: Element = { negated: true, ranges: [] };
const WORD_BITS = 32;

/**
 * LIKE with `%`, `_`, `[...]` and `[^...]`, regardless of case. The leftmost match of each segment leaves the most text for the
 * others, so the text is read once; a segment of m elements costs m / 32 steps per character.
 */
export function isLike(text: string, pattern: string): boolean {
  const characters = text.toLowerCase();
  const segments = segmentsOf(pattern.toLowerCase());
  const [first = [], ...others] = segments;
  const last = others.pop();
  if (last === undefined) return characters.length === first.length && matchesAt(first, characters, 0);
  const end = characters.length - last.length;
  if (end < first.length || !matchesAt(first, characters, 0) || !matchesAt(last, characters, end)) return false;
  let at = first.length;
  for (const segment of others) {
    at = endOfMatch(segment, characters, at, end);
    if (at === -1) return false;
  }
  return true;
}

function matchesAt(segment: Segment, text: string, at: number): boolean {
  return segment.every(({ negated, ranges }, i) => {
    const code = text.charCodeAt(at + i);
    return ranges.some(([first, last]) => code >= first && code <= last) !== negated;
  });
}

/**
 * Where the leftmost match in `text` from `at` to `end` ends; -1 if there is none. Bit i of the state is set while the
 * first i + 1 elements match the text up to here (Baeza-Yates and Gonnet, "A new approach to text searching").
 */
function endOfMatch(segment: Segment, text: string, at: number, end: number): number {
  if (segment.length === 0) return at;
  const masks = new Masks(segment);
  const state = new Uint32Array(masks.words);
  const lastBit = 1 << ((segment.length - 1) % WORD_BITS);
  for (let i = at; i < end; i += 1) {
    const mask = masks.of(text.charCodeAt(i));
    let carry = 1;
    for (let word = 0; word < state.length; word += 1) {
      const bits = state[word] as number;
      state[word] = ((bits << 1) | carry) & (mask[word] as number);
      carry = bits >>> (WORD_BITS - 1);
    }
    if (((state.at(-1) as number) & lastBit) !== 0) return i + 1;
  }
  return -1;
}

/**
 * For each character, the elements of a segment that it matches, as bits. These change only where a range begins or ends, so
 * there is one mask from each such boundary to the next, however many characters and sets there are.
 */
class Masks {
  readonly words: number;
  readonly #boundaries: readonly number[];
  readonly #masks: readonly Uint32Array[];

  constructor(segment: Segment) {
    this.words = Math.ceil(segment.length / WORD_BITS);
    const mask = new Uint32Array(this.words);
    const changes = new Map<number, number[]>();
    const changeAt = (code: number, position: number): void => {
      const positions = changes.get(code);
      if (positions === undefined) changes.set(code, [position]);
      else positions.push(position);
    };
    segment.forEach(({ negated, ranges }, position) => {
      if (negated) flip(mask, position);
      for (const [first, last] of ranges) {
        changeAt(first, position);
        changeAt(last + 1, position);
      }
    });
    this.#boundaries = [...changes.keys()].sort((a, b) => a - b);
    this.#masks = [
      mask.slice(),
      ...this.#boundaries.map((code) => {
        for (const position of changes.get(code) as number[]) flip(mask, position);
        return mask.slice();
      }),
    ];
  }

  of(code: number): Uint32Array {
    let [from, to] = [0, this.#boundaries.length];
    while (from < to) {
      const middle = (from + to) >>> 1;
      if ((this.#boundaries[middle] as number) <= code) from = middle + 1;
      else to = middle;
    }
    return this.#masks[from] as Uint32Array;
  }
}

function flip(mask: Uint32Array, position: number): void {
  const word = Math.floor(position / WORD_BITS);
  mask[word] = (mask[word] as number) ^ (1 << (position % WORD_BITS));
}

function segmentsOf(pattern: string): Segment[] {
  let segment: Element[] = [];
  const segments = [segment];
  const lastClose = pattern.lastIndexOf(']');
  for (let at = 0; at < pattern.length; at += 1) {
    const character = pattern.charAt(at);
    const close = character === '[' && at < lastClose ? pattern.indexOf(']', at + 1) : -1;
    if (character === '%') {
      segment = [];
      segments.push(segment);
    } else if (character === '_') segment.push(ANY_CHARACTER);
    else if (close !== -1) {
      segment.push(setOf(pattern.slice(at + 1, close)));
      at = close;
    } else segment.push({ negated: false, ranges: [[character.charCodeAt(0), character.charCodeAt(0)]] });
  }
  return segments;
}

/** `a-cx`, or `^a-cx` for all other characters. */
function setOf(content: string): Element {
  const negated = content.startsWith('^');
  const members = negated ? content.slice(1) : content;
  const ranges: Range[] = [];
  for (let at = 0; at < members.length; at += 1) {
    const first = members.charCodeAt(at);
    const isRange = members.charAt(at + 1) === '-' && at + 2 < members.length;
    const last = isRange ? members.charCodeAt(at + 2) : first;
    if (first <= last) ranges.push([first, last]);
    if (isRange) at += 2;
  }
  return { negated, ranges: merged(ranges) };
}

function merged(ranges: readonly Range[]): Range[] {
  const result: Range[] = [];
  for (const [first, last] of [...ranges].sort((a, b) => a[0] - b[0])) {
    const before = result.at(-1);
    if (before !== undefined && first <= before[1]) result[result.length - 1] = [before[0], Math.max(before[1], last)];
    else result.push([first, last]);
  }
  return result;
}
