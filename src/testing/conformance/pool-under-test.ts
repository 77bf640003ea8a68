import type { ServerCredential } from '../server/options.js';

/** A pool as the suite uses it. An adapter for a pool of raw tedious connections is about ten lines. */
export interface PoolUnderTest<Connection = unknown> {
  /** Checks a connection out; rejects within about {@link PoolSetup.acquireTimeoutMillis}. */
  acquire(): Promise<Connection>;
  /** Returns a connection. */
  release(connection: Connection): unknown;
  /** Runs one batch and resolves with the first column of its first row. */
  query(connection: Connection, sql: string): Promise<unknown>;
  /** Closes every connection. */
  close(): unknown;
}

/** The server of a pool under test, and its limits. */
export interface PoolSetup {
  /** Address and TLS settings in the form of an mssql config, without a login. */
  config: {
    server: string;
    port: number;
    options: { encrypt: boolean | 'strict'; cryptoCredentialsDetails: { ca: string } };
  };
  /** Supplies the tokens. Every call makes one request to the identity provider and returns a fresh token. */
  credential: ServerCredential;
  /** Maximum number of connections; one more is allowed while a connection is replaced. */
  max: number;
  /** Longest wait for a connection, ms. */
  acquireTimeoutMillis: number;
}

/** Opens a pool. The suite calls it several times and closes each pool before it stops the servers. */
export type OpenPool<Connection = unknown> = (
  setup: PoolSetup,
) => PoolUnderTest<Connection> | Promise<PoolUnderTest<Connection>>;

const METHODS: readonly (keyof PoolUnderTest)[] = ['acquire', 'release', 'query', 'close'];

/** @throws TypeError that names what the adapter's pool lacks */
export function requirePool(pool: unknown): asserts pool is PoolUnderTest {
  if (typeof pool !== 'object' || pool === null) {
    throw new TypeError(
      `conformance: the adapter returned ${pool === null ? 'null' : `a value of type ${typeof pool}`}; it must return ${METHODS.join(', ')}.`,
    );
  }
  const missing = METHODS.filter((name) => typeof (pool as Record<string, unknown>)[name] !== 'function');
  if (missing.length === 0) return;
  throw new TypeError(
    `conformance: the adapter's pool has no function ${missing.map((name) => `'${name}'`).join(', ')}; it must have ${METHODS.join(', ')}.`,
  );
}
