/**
 * Makes each file under figures/ a program that can be run and profiled alone: `node bench/figures/checkout.mjs`. If run.mjs
 * started it, it sends its results there instead of printing them.
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
