import { type SimulationOptions, type SimulationResult, World } from './world.js';

/** Runs one simulation in a macrotask of its own. */
export function simulate(options: SimulationOptions): Promise<SimulationResult> {
  return new Promise((resolve, reject) => {
    setImmediate(() => {
      try {
        resolve(new World(options).run());
      } catch (error) {
        reject(error);
      }
    });
  });
}

/** The information that a person needs to find the fault. */
export function describeViolation({ seed, calm, violation, lastEvents }: SimulationResult, hours: number): string {
  if (violation === undefined) return `seed ${seed}: all promises kept`;
  return [
    ...lastEvents,
    '',
    `seed ${seed}: ${violation.promise} is broken at ${(violation.at / 1000).toFixed(3)} s: ${violation.message}`,
    `replay: npm run simulate -- --seed ${seed} --hours ${hours}${calm ? ' --calm' : ''} --trace`,
  ].join('\n');
}
