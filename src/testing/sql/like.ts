/** An element of a pattern: `%`, or a test for one character. */
type Element = 'any' | ((character: string) => boolean);

/** LIKE with `%`, `_`, `[...]` and `[^...]`, regardless of case, in O(text × pattern) at worst. */
export function isLike(text: string, pattern: string): boolean {
  const characters = text.toLowerCase();
  const elements = elementsOf(pattern.toLowerCase());
  let [at, from] = [0, 0];
  let [afterPercent, resumeAt] = [-1, 0];
  while (at < characters.length) {
    const element = elements[from];
    if (element === 'any') {
      from += 1;
      [afterPercent, resumeAt] = [from, at];
    } else if (element?.(characters.charAt(at))) {
      at += 1;
      from += 1;
    } else if (afterPercent !== -1) {
      resumeAt += 1;
      [at, from] = [resumeAt, afterPercent];
    } else {
      return false;
    }
  }
  return elements.slice(from).every((element) => element === 'any');
}

function elementsOf(pattern: string): Element[] {
  const elements: Element[] = [];
  for (let at = 0; at < pattern.length; at += 1) {
    const character = pattern.charAt(at);
    const close = character === '[' ? pattern.indexOf(']', at + 1) : -1;
    if (character === '%') elements.push('any');
    else if (character === '_') elements.push(() => true);
    else if (close !== -1) {
      elements.push(setOf(pattern.slice(at + 1, close)));
      at = close;
    } else elements.push((other) => other === character);
  }
  return elements;
}

/** `a-cx`, or `^a-cx` for all other characters. */
function setOf(content: string): (character: string) => boolean {
  const negated = content.startsWith('^');
  const members = negated ? content.slice(1) : content;
  const ranges: [string, string][] = [];
  for (let at = 0; at < members.length; at += 1) {
    const first = members.charAt(at);
    const isRange = members.charAt(at + 1) === '-' && at + 2 < members.length;
    ranges.push([first, isRange ? members.charAt(at + 2) : first]);
    if (isRange) at += 2;
  }
  return (character) => ranges.some(([first, last]) => character >= first && character <= last) !== negated;
}
