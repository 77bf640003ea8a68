/**
 * Active in every measured run: a wrong answer ends the run without a figure.
 *
 * @param {unknown} good
 * @param {string} what
 */
export function check(good, what) {
  if (!good) throw new WrongAnswer(what);
}

export class WrongAnswer extends Error {
  name = 'WrongAnswer';
}
