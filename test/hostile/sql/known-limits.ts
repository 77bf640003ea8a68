import type { NamedCell } from './table.js';

/** A promise that a foreign library breaks, where nothing of ours can contain it; docs/security.md lists them. */
interface KnownLimit {
  client: string;
  phases: readonly string[];
  faults?: readonly string[];
  /** The whole line, as the cell reports it. */
  line: RegExp;
}

const KNOWN_LIMITS: readonly KnownLimit[] = [];

export function isKnownLimit({ client, phase, fault }: NamedCell, line: string): boolean {
  return KNOWN_LIMITS.some(
    (limit) =>
      limit.client === client &&
      limit.phases.includes(phase) &&
      (limit.faults?.includes(fault) ?? true) &&
      limit.line.test(line),
  );
}
