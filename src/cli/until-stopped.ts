import { once } from 'node:events';

/** Resolves with the signal that asks the program to stop. A second signal stops it at once. */
export async function untilStopped(): Promise<NodeJS.Signals> {
  const signals: NodeJS.Signals[] = ['SIGTERM', 'SIGINT'];
  const signal = await Promise.race(signals.map(async (each) => ((await once(process, each)) as [NodeJS.Signals])[0]));
  for (const each of signals) process.once(each, () => process.exit(1));
  return signal;
}

/** A log line: the time, the event, and its details as `key=value`. */
export function log(what: string, details: Readonly<Record<string, unknown>> = {}): void {
  const written = Object.entries(details)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${quote(String(value))}`);
  process.stdout.write(`${[new Date().toISOString(), what, ...written].join(' ')}\n`);
}

function quote(value: string): string {
  return /^[\w.:/@+-]+$/.test(value) ? value : JSON.stringify(value);
}
