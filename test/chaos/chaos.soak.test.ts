import { expect, test } from 'vitest';

/** Injects each fault once. `npm run chaos` does so for minutes, and also measures the memory. */
async function strikeOnce(name: string): Promise<void> {
  // @ts-expect-error a program, not part of the types
  const { faultsFound, runFault } = await import('./run.mjs');
  const result = await runFault(name, 1);
  expect(faultsFound(result, { checkMemory: false }), JSON.stringify(result.byCause)).toEqual([]);
}

// These mostly wait, so they wait together.
test.concurrent.each(['kill-server', 'stop-server', 'cut-network', 'kill-identity-provider'])(
  'keeps its promises through %s',
  strikeOnce,
);

// These keep a core busy.
test.each(['crowd', 'slow-readers'])('keeps its promises through %s', strikeOnce);
