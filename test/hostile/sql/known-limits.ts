import type { NamedCell } from './table.js';

/** Clients that give a config with a SQL login back as it is: what logs in then is stock mssql, without anything of ours. */
export const TOKENS_ONLY: ReadonlySet<string> = new Set(['withTokenRefresh on stock mssql', 'Prisma adapter']);

/** A promise that a foreign library breaks, where nothing of ours can contain it; docs/security.md lists them. */
interface KnownLimit {
  client: string;
  phases: readonly string[];
  /** The whole line, as the cell reports it. */
  line: RegExp;
}

const KNOWN_LIMITS: readonly KnownLimit[] = [
  // Sequelize.close() waits for every borrowed connection without a limit (sequelize-pool 7.1, `drain`), and tedious stops
  // the timer of a request at the first packet of its answer. A server that answers half has both wait for ever.
  {
    client: 'Sequelize 6',
    phases: ['request', 'response'],
    line: /^(a request does not settle after the pool was closed|close\(\) does not settle)$/,
  },
];

export function isKnownLimit({ client, phase }: NamedCell, line: string): boolean {
  return KNOWN_LIMITS.some((limit) => limit.client === client && limit.phases.includes(phase) && limit.line.test(line));
}
