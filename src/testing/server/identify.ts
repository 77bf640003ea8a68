import { setTimeout as sleep } from 'node:timers/promises';
import { type Login7, readFedAuthToken } from '../tds/login7.js';
import { ConnectionClosedError, type MessageStream } from '../tds/message-stream.js';
import { PacketType } from '../tds/packet.js';
import type { Response } from '../tds/response.js';
import { SqlServerError } from '../tds/server-error.js';
import {
  cannotOpenDatabase,
  entraNotConfigured,
  noDatabaseUser,
  sqlLoginRefused,
  tokenRefused,
} from './login-errors.js';
import type { LoginStage } from './login-faults.js';
import type { LoginRecord } from './options.js';
import { heldAgainst, principalOfSqlLogin, principalOfToken } from './principals.js';
import type { ServerContext } from './server-context.js';
import type { ProvenPrincipal } from './session-host.js';

/**
 * Identifies the client, requests the token that LOGIN7 announces, and applies faults. Throws the {@link SqlServerError}
 * to send to the client; records its findings in `record`.
 */
export async function identify(
  login: Login7,
  record: LoginRecord,
  server: ServerContext,
  { messages, newResponse }: { messages: MessageStream; newResponse: () => Response },
): Promise<ProvenPrincipal> {
  dropOnFault('after-login7', server);
  const token = await tokenOf(login, server, messages, newResponse);
  record.time = server.now();
  if (token !== undefined) dropOnFault('after-fedauth', server);
  await messages.whilePresent(delayLogin(server));
  const who =
    token === undefined
      ? checkPassword(login, record, server)
      : ((await messages.whilePresent(checkToken(token, record, server))) as ProvenPrincipal);
  const fault = server.faults.take('verdict');
  if (fault instanceof SqlServerError) throw fault;
  checkPrincipal(who, login, server);
  return who;
}

async function delayLogin({ options, running }: ServerContext): Promise<void> {
  if (options.loginDelayMs !== undefined) await sleep(options.loginDelayMs, undefined, { ref: false });
  await running();
}

/** Closes without an answer, not even a TLS alert, as a crashed server would. */
export function dropOnFault(stage: LoginStage, { faults }: ServerContext): void {
  if (faults.take(stage) !== undefined) throw new ConnectionClosedError('dropped by failLogins');
}

/** The token of the login; undefined for a password login. */
async function tokenOf(
  { proof }: Login7,
  { authority, audience }: ServerContext,
  messages: MessageStream,
  newResponse: () => Response,
): Promise<string | undefined> {
  switch (proof.kind) {
    case 'sql':
      return undefined;
    case 'integrated':
      throw new SqlServerError({
        number: 18_452,
        class: 14,
        message:
          'Login failed. The login is from an untrusted domain and cannot be used with Integrated authentication.',
      });
    case 'security-token':
      return proof.token;
    case 'adal': {
      if (authority === undefined) throw entraNotConfigured();
      const response = newResponse();
      const sts = `${authority.url ?? 'https://login.microsoftonline.com'}/${authority.tenantId ?? 'common'}`;
      response.fedAuthInfo(sts, `${(audience[0] as string).replace(/\/$/, '')}/`);
      response.end();
      return readFedAuthToken((await messages.readOf(PacketType.FedAuthToken)).body);
    }
  }
}

async function checkToken(
  token: string,
  record: LoginRecord,
  { authority, audience, now }: ServerContext,
): Promise<ProvenPrincipal> {
  if (authority === undefined) throw entraNotConfigured();
  const result = await authority.verify(token, { audience, now: now() });
  const claims = result.error === undefined ? result : result.claims;
  const who = claims === undefined ? undefined : principalOfToken(claims);
  record.principal = who?.principal;
  record.tokenExpiry = who?.tokenExpiry;
  if (result.error !== undefined) throw tokenRefused(result.error);
  return who as ProvenPrincipal;
}

function checkPassword({ proof }: Login7, record: LoginRecord, { users }: ServerContext): ProvenPrincipal {
  const { userName, password } = proof as Extract<Login7['proof'], { kind: 'sql' }>;
  record.principal = userName;
  if (users !== undefined && (!Object.hasOwn(users, userName) || users[userName] !== password)) {
    throw sqlLoginRefused(userName);
  }
  return principalOfSqlLogin(userName);
}

function checkPrincipal(who: ProvenPrincipal, { database }: Login7, { options }: ServerContext): void {
  const fate = heldAgainst(who, options.principals);
  if (fate === 'no-database-user') throw who.byToken ? noDatabaseUser() : sqlLoginRefused(who.principal);
  if (fate !== undefined) throw new SqlServerError(fate);
  if (database !== '' && !hasDatabase(options.databases, database)) throw cannotOpenDatabase(database);
}

function hasDatabase(databases: readonly string[] | undefined, name: string): boolean {
  return databases === undefined || databases.some((each) => each.toLowerCase() === name.toLowerCase());
}
