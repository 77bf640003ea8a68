/**
 * A file under figures/ is a program of its own, so that it can be run and profiled alone: `node bench/figures/checkout.mjs`.
 * Started by run.mjs, it sends what it found there instead.
 *
 * @param {(options: { quick: boolean }) => Promise<import('./rounds.mjs').Figure[]>} measure
 */
export async function figureProgram(measure) {
  const figures = await measure({ quick: process.argv.includes('--quick') });
  if (process.send === undefined) {
    const { table } = await import('./table.mjs');
    console.log(table(figures));
  } else {
    await new Promise((resolve) => process.send?.({ figures }, resolve));
    process.disconnect();
  }
}
