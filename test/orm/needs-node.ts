import { describe } from 'vitest';

/** Runs the suite of an ORM that needs a newer Node.js where it can run, and skips it visibly elsewhere. */
export function needsNode(major: number, name: string, suite: () => void): void {
  if (Number.parseInt(process.versions.node, 10) >= major) suite();
  else describe.skip(`${name}: needs Node.js ${major}, this is ${process.version}`, suite);
}
