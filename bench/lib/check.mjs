/**
 * Stays on in every measured run: an answer that is wrong ends the run without a figure.
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
