import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import {
  type EncryptionMode,
  type FaultControl,
  type LoginRecord,
  startSqlGateway,
  type TokenAuthority,
  trustIssuer,
  type UpstreamConfig,
} from '../testing/index.js';
import { fromEnvironment, parseListen, parseSeconds, parseServer, UsageError } from './address.js';
import { command } from './command.js';
import { startFaults } from './faults.js';
import { unknownArgument } from './unknown-argument.js';
import { log, untilStopped } from './until-stopped.js';
import { assertWritable } from './writable-file.js';

const USAGE = `Usage: mssql-token-pool gateway --upstream SERVER[:PORT] --user NAME --password-env VARIABLE --entra URL [options]

Checks Entra tokens in front of a SQL Server that cannot: logs in to it with a SQL login and passes everything else on.

  --upstream SERVER[:PORT]      the SQL Server behind it
  --user NAME                   SQL login for every principal (proven by a token) that has no --login
  --password-env VARIABLE       environment variable with its password (--password TEXT shows in process lists)
  --login PRINCIPAL=USER:VARIABLE
                                SQL login of one principal (client id, user name or object id of its token), with the
                                environment variable that holds the password; may be repeated
  --sql-logins pass|refuse      pass (the default): clients with a SQL login reach the server under their own name and
                                password, never under a login of this program; refuse: tokens only
  --database NAME               for clients that name none
  --upstream-encrypt on|off|strict   default on
  --trust-upstream              accept any certificate of the server behind it
  --entra URL                   issuer to trust, with the tenant: http://localhost:8080/TENANT;
                                it may start up to 15 s later
  --audience URI                default https://database.windows.net
  --listen [ADDRESS:]PORT       default 127.0.0.1:1433
  --encrypt on|required|strict  default required
  --certificate FILE --key FILE PEM; default: generated at startup, for localhost
  --certificate-out FILE        writes the certificate to FILE, for clients to trust
  --enforce-expiry login|reset|query   default login
  --faults PORT                 accepts faults over HTTP on 127.0.0.1:PORT (POST /_faults); default: off
  --drain-seconds N             how long sessions may continue after SIGTERM; default 10
`;

/** `mssql-token-pool gateway`: the gateway as a program. */
export const gateway = command(USAGE, run);

const OPTIONS = {
  upstream: { type: 'string' },
  user: { type: 'string' },
  password: { type: 'string' },
  'password-env': { type: 'string' },
  login: { type: 'string', multiple: true, default: [] as string[] },
  'sql-logins': { type: 'string', default: 'pass' },
  database: { type: 'string' },
  'upstream-encrypt': { type: 'string', default: 'on' },
  'trust-upstream': { type: 'boolean', default: false },
  entra: { type: 'string' },
  audience: { type: 'string' },
  listen: { type: 'string', default: '127.0.0.1:1433' },
  encrypt: { type: 'string', default: 'required' },
  certificate: { type: 'string' },
  key: { type: 'string' },
  'certificate-out': { type: 'string' },
  'enforce-expiry': { type: 'string', default: 'login' },
  faults: { type: 'string' },
  'drain-seconds': { type: 'string', default: '10' },
} as const;

async function run(args: string[]): Promise<number> {
  const unknown = unknownArgument(args, OPTIONS);
  if (unknown !== undefined) throw new UsageError(unknown);
  const { values } = parseArgs({ args, options: OPTIONS });
  if (values.upstream === undefined) throw new UsageError('--upstream is missing');
  if (values.entra === undefined) throw new UsageError('--entra is missing');
  if ((values.certificate === undefined) !== (values.key === undefined)) {
    throw new UsageError('--certificate and --key go together');
  }
  const out = values['certificate-out'];
  if (out !== undefined) assertWritable('--certificate-out', out);
  const drainMs = parseSeconds('--drain-seconds', values['drain-seconds'], 'zero') * 1000;
  const passwordEnv = values['password-env'];
  const password = passwordEnv === undefined ? values.password : fromEnvironment('--password-env', passwordEnv);
  if ((values.user === undefined) !== (password === undefined)) {
    throw new UsageError('--user and --password-env (or --password) go together');
  }
  const upstream: UpstreamConfig = {
    ...parseServer(values.upstream),
    user: values.user,
    password,
    database: values.database,
    options: {
      encrypt: { on: true, off: false, strict: 'strict' as const }[
        oneOf('--upstream-encrypt', values['upstream-encrypt'], ['on', 'off', 'strict'])
      ],
      trustServerCertificate: values['trust-upstream'],
    },
    logins: Object.fromEntries(values.login.map(parseLogin)),
  };
  const sqlLogins = oneOf('--sql-logins', values['sql-logins'], ['pass', 'refuse']);
  const server = await startSqlGateway({
    ...parseListen(values.listen),
    entra: await issuerAt(values.entra),
    upstream,
    users: sqlLogins === 'refuse' ? {} : undefined,
    audience: values.audience,
    encrypt: oneOf<EncryptionMode>('--encrypt', values.encrypt, ['on', 'required', 'strict']),
    enforceExpiry: oneOf<'login' | 'reset' | 'query'>('--enforce-expiry', values['enforce-expiry'], [
      'login',
      'reset',
      'query',
    ]),
    certificate:
      values.certificate === undefined
        ? undefined
        : { cert: readFileSync(values.certificate, 'utf8'), key: readFileSync(values.key as string, 'utf8') },
    onLogin: logLogin,
    onUpstreamError: ({ message }) => log('upstream failed', { error: message }),
  });
  let faults: FaultControl | undefined;
  try {
    faults = await startFaults(values.faults, { server });
    if (out !== undefined) writeFileSync(out, server.ca);
  } catch (error) {
    await faults?.close();
    await server.close({ drainMs: 0 });
    throw error;
  }
  // Listens before it is ready: whatever waits for that line may send a signal at once.
  const stopped = untilStopped();
  log('ready', {
    listen: `${parseListen(values.listen).host}:${server.port}`,
    upstream: values.upstream,
    entra: values.entra,
    faults: faults?.url,
  });

  const signal = await stopped;
  log('stopping', { signal, connections: server.connections.open });
  await faults?.close();
  await server.close({ drainMs });
  log('stopped');
  return 0;
}

function logLogin(login: LoginRecord): void {
  const { principal, clientAddress, authentication, database, appName, tokenExpiry, spid, error } = login;
  const details = {
    principal,
    client: clientAddress,
    authentication,
    database: database || undefined,
    app: appName || undefined,
    tokenExpires: tokenExpiry === undefined ? undefined : new Date(tokenExpiry).toISOString(),
  };
  if (login.accepted) log('login accepted', { ...details, spid });
  else if (typeof error === 'object')
    log('login refused', { ...details, number: error.number, state: error.state, message: error.message });
  else log('login dropped', details);
}

/** `PRINCIPAL=USER:VARIABLE` as an entry of `logins`. */
function parseLogin(text: string, index: number): [string, { user: string; password: string }] {
  const equals = text.indexOf('=');
  const colon = text.lastIndexOf(':');
  const [principal, user, variable] = [text.slice(0, equals), text.slice(equals + 1, colon), text.slice(colon + 1)];
  if (equals < 1 || colon < equals + 2 || variable === '') {
    // Not quoted: a password may stand where the name of a variable belongs.
    throw new UsageError(`--login number ${index + 1}: write PRINCIPAL=USER:VARIABLE`);
  }
  return [principal, { user, password: fromEnvironment('--login', variable) }];
}

function oneOf<T extends string>(option: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((each) => each === value);
  if (found === undefined) throw new UsageError(`${option}: give one of ${allowed.join(', ')}`);
  return found;
}

/** How long the issuer may take to start, ms: the programs `entra` and `gateway` are often started together. */
const ISSUER_PATIENCE_MS = 15_000;
const NOT_THERE_YET = new Set<unknown>(['ECONNREFUSED', 'ECONNRESET', 'ENOTFOUND', 'EAI_AGAIN']);

async function issuerAt(url: string): Promise<TokenAuthority> {
  const until = performance.now() + ISSUER_PATIENCE_MS;
  for (;;) {
    try {
      return await trustIssuer(url);
    } catch (error) {
      const { cause } = ((error as Error).cause ?? {}) as { cause?: { code?: unknown } };
      if (!NOT_THERE_YET.has(cause?.code) || performance.now() > until) throw error;
    }
    await sleep(200);
  }
}
