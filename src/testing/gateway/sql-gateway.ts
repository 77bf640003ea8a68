import { isRecord, type OptionNames, requireKnownOptions } from '../known-options.js';
import { TDS_SERVER_OPTIONS, type TdsServerOptions } from '../server/options.js';
import { requireDistinct } from '../server/principals.js';
import type { LoggedInClient, OpenSession } from '../server/session-host.js';
import { keep, TdsServer } from '../server/tds-server.js';
import { type RecordOptions, TrafficRecorder, type TrafficRecording } from '../traffic/recorder.js';
import type { UpstreamConfig } from './upstream.js';
import { openUpstreamSession } from './upstream-session.js';

export interface SqlGatewayOptions extends TdsServerOptions {
  /**
   * The SQL Server behind the gateway. A principal with a valid token is logged in with a SQL login from `upstream`. A
   * client with its own SQL login is passed on with its name and password, which the server checks. `users` lists the
   * SQL logins to pass on; `{}` refuses them all.
   */
  upstream: UpstreamConfig;
  /** Called when the upstream server cannot be reached or does not answer a login. */
  onUpstreamError?: ((error: Error) => void) | undefined;
}

const OPTIONS: OptionNames<SqlGatewayOptions> = {
  ...TDS_SERVER_OPTIONS,
  upstream: true,
  onUpstreamError: true,
};

const UPSTREAM_OPTIONS: OptionNames<UpstreamConfig> = {
  server: true,
  port: true,
  user: true,
  password: true,
  database: true,
  connectionTimeout: true,
  options: true,
  logins: true,
};

/**
 * Starts a gateway in front of a real SQL Server without Entra support. The gateway checks the token, logs in upstream
 * with a SQL login and forwards everything else. See docs/testing-gateway.md.
 *
 * @throws TypeError for an invalid option value; the error of `listen` if the port is taken.
 * @example
 * await using gateway = await startSqlGateway({ entra, upstream: { server: 'localhost', user: 'sa', password } });
 * const pool = await new sql.ConnectionPool(gateway.config()).connect();
 */
export async function startSqlGateway(options: SqlGatewayOptions): Promise<SqlGateway> {
  if (isRecord(options) && options.onQuery !== undefined) {
    throw new TypeError('onQuery is never called with an upstream server; leave out one of the two');
  }
  requireKnownOptions('startSqlGateway', options, OPTIONS);
  requireKnownOptions('upstream', options.upstream, UPSTREAM_OPTIONS);
  requireProofs(options.upstream);
  requireDistinct('upstream.logins', options.upstream.logins);
  const gateway = new SqlGateway(options);
  await gateway.listen();
  return gateway;
}

/** Half a login would be refused by the upstream server, for a reason that names neither half. */
function requireProofs({ user, password, logins = {} }: UpstreamConfig): void {
  if ((user === undefined) !== (password === undefined)) {
    throw new TypeError("upstream: 'user' and 'password' go together; give both, or neither.");
  }
  for (const [principal, proof] of Object.entries(logins)) {
    if (isRecord(proof) && typeof proof.user === 'string' && typeof proof.password === 'string') continue;
    throw new TypeError(`upstream: 'logins' must give { user, password } for '${principal.slice(0, 100)}'.`);
  }
}

/** A running gateway, created by {@link startSqlGateway}. */
export class SqlGateway extends TdsServer {
  /** Logins that failed because the upstream server could not be reached or did not answer (the last 100,000). */
  readonly upstreamErrors: { time: number; message: string }[] = [];
  readonly #options: SqlGatewayOptions;
  #recorder: TrafficRecorder | undefined;

  /** @internal Use {@link startSqlGateway}. */
  constructor(options: SqlGatewayOptions) {
    super(options, options.users);
    this.#options = options;
  }

  /**
   * Records the answers of the upstream server to a file, for sessions opened from now on: logins, queries with their
   * results, errors. `startSqlEmulator({ replay: file })` replays them. Passwords and tokens are never recorded; values of
   * rows, parameters and literals are replaced unless `keep` names their column.
   *
   * @throws the error of `fs` if the file cannot be written.
   * @example
   * using recording = gateway.recordTraffic('test/fixtures/orders.jsonl', { keep: ['id', 'status'] });
   * await runTheApplication();
   */
  recordTraffic(file: string, options: RecordOptions = {}): TrafficRecording {
    this.#recorder?.stop();
    this.#recorder = new TrafficRecorder(file, options);
    return this.#recorder;
  }

  override reset(): void {
    super.reset();
    this.upstreamErrors.length = 0;
    this.#recorder?.stop();
  }

  override get sqlLogin(): { user: string; password: string } {
    if (this.#options.users !== undefined) return super.sqlLogin;
    const { user = '', password = '' } = this.#options.upstream;
    return { user, password };
  }

  /** @internal */
  async openSession(client: LoggedInClient): Promise<OpenSession> {
    return await openUpstreamSession(client, {
      upstream: this.#options.upstream,
      nextSpid: () => this.nextSpid(),
      running: () => this.running(),
      recorder: this.#recorder?.stopped === false ? this.#recorder : undefined,
      recordUpstreamError: (error) => {
        keep(this.upstreamErrors, { time: Date.now(), message: error.message });
        this.#options.onUpstreamError?.(error);
      },
    });
  }
}
