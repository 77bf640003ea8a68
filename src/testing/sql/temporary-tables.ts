import { SqlServerError } from '../tds/server-error.js';

type Tables = Map<string, { name: string; id: number }>;

/**
 * The temporary tables of a session. A table belongs to the scope that created it, the session or a procedure, and is
 * dropped at its end. A procedure sees the tables of its caller, and may create another with the same name.
 */
export class TemporaryTables {
  /** Of the session, then of the running procedure. */
  readonly #scopes: Tables[] = [new Map()];
  #lastId = -1_000_000_000;

  get names(): readonly string[] {
    return this.#scopes.flatMap((tables) => [...tables.values()].map(({ name }) => name));
  }

  /** `OBJECT_ID('tempdb..#name')`; null if there is no such table. */
  idOf(name: string): number | null {
    return this.#scopeOf(name)?.get(name.toLowerCase())?.id ?? null;
  }

  create(name: string): void {
    const tables = this.#scopes.at(-1) as Tables;
    if (tables.has(name.toLowerCase())) {
      const message = `There is already an object named '${name}' in the database.`;
      throw new SqlServerError({ number: 2714, state: 6, message });
    }
    this.#lastId -= 1;
    tables.set(name.toLowerCase(), { name, id: this.#lastId });
  }

  drop(name: string, ifExists: boolean): void {
    if (this.#scopeOf(name)?.delete(name.toLowerCase()) || ifExists) return;
    const message = `Cannot drop the table '${name}', because it does not exist or you do not have permission.`;
    throw new SqlServerError({ number: 3701, class: 11, state: 5, message });
  }

  /** Begins the scope of a procedure. */
  enter(): void {
    this.#scopes.push(new Map());
  }

  /** Ends the scope of a procedure, and drops its tables. */
  leave(): void {
    this.#scopes.pop();
  }

  clear(): void {
    for (const tables of this.#scopes) tables.clear();
  }

  #scopeOf(name: string): Tables | undefined {
    return this.#scopes.findLast((tables) => tables.has(name.toLowerCase()));
  }
}
