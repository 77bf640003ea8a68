import type { NamedCell } from './table.js';

/** A promise that a foreign library breaks, where nothing of ours can contain it; docs/security.md lists them. */
interface KnownLimit {
  clients: readonly string[];
  phases: readonly string[];
  /** The whole line, as the cell reports it. */
  line: RegExp;
}

const KNOWN_LIMITS: readonly KnownLimit[] = [
  // Sequelize.close() waits for every borrowed connection without a limit (sequelize-pool 7.1, `drain`), and tedious stops
  // the timer of a request at the first packet of its answer. After half an answer, both wait forever.
  {
    clients: ['Sequelize 6', 'Sequelize 7'],
    phases: ['request', 'response'],
    line: /^(a request does not settle after the pool was closed|close\(\) does not settle)$/,
  },
  // Kysely's driver rejects with the list of a request's errors where tedious has several (mssql-driver.js, 0.27 to 0.29).
  { clients: ['Kysely'], phases: ['request', 'response'], line: /^not an Error: (Error: [^,]*,)+Error: / },
];

export function isKnownLimit({ client, phase }: NamedCell, line: string): boolean {
  return KNOWN_LIMITS.some(
    (limit) => limit.clients.includes(client) && limit.phases.includes(phase) && limit.line.test(line),
  );
}
