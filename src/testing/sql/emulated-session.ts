import { type LoginPart, sendLoginResponse } from '../server/login-acceptance.js';
import { closesConnection, type LoggedInClient, type OpenSession } from '../server/session-host.js';
import { announcesOdbc, isBeforeTds71 } from '../tds/login7.js';
import { EnvChange } from '../tds/response.js';
import { SqlServerError } from '../tds/server-error.js';
import type { Recording } from '../traffic/recording.js';
import { errorOf } from './replay.js';
import { type QueryHooks, RequestRunner } from './request-runner.js';
import type { ServerFacts } from './server-facts.js';
import { SessionState, type TransactionHandler } from './session.js';

/** State shared by the sessions of one emulator. */
export interface EmulatorContext {
  readonly facts: ServerFacts;
  readonly hooks: QueryHooks;
  readonly onTransaction: TransactionHandler | undefined;
  /** Sessions with an open connection. */
  readonly sessions: Set<SessionState>;
  nextSpid(): number;
  /** Resolves when the server resumes; undefined if it is not paused. */
  running(): Promise<void> | undefined;
}

/** Accepts a login and opens a session hosted by the emulator. */
export function openEmulatedSession(client: LoggedInClient, emulator: EmulatorContext): OpenSession {
  if (isBeforeTds71(client.tdsVersion)) throw tooOld(client.tdsVersion);
  const { appName, hostName, library } = client.login;
  const { principal, tokenExpiry } = client.who;
  const { facts, onTransaction } = emulator;
  const recorded = recordedLogin(emulator.hooks.recording, client.login.database);
  const database = recorded?.database ?? (client.login.database || 'master');
  const spid = emulator.nextSpid();
  const session = new SessionState({
    spid,
    principal,
    database,
    appName,
    hostName,
    library,
    tokenExpiry,
    odbc: announcesOdbc(client.login.client.flags),
    onTransaction,
  });
  emulator.sessions.add(session);
  client.onClose(() => {
    emulator.sessions.delete(session);
    session.end();
  });
  sendLoginResponse(client, { spid, database, serverName: facts.serverName, recorded: recorded?.parts });
  return { spid, serve: () => answerRequests(client, session, emulator) };
}

async function answerRequests(client: LoggedInClient, session: SessionState, emulator: EmulatorContext): Promise<void> {
  const { messages, newResponse } = client;
  const runner = new RequestRunner({
    session,
    facts: emulator.facts,
    hooks: emulator.hooks,
    messages,
    newResponse,
  });
  for (;;) {
    const message = await messages.read();
    await messages.whilePresent(emulator.running());
    const refusal = client.expiryRefusal(message.type, message.status);
    if (refusal !== undefined) {
      client.refuse(refusal);
      if (closesConnection(refusal)) return;
    } else if (!(await runner.answer(message))) {
      return;
    }
  }
}

/**
 * The recorded server's answer to a login for that database, and the session's database afterwards.
 *
 * @throws SqlServerError the error with which it refused the login
 */
function recordedLogin(
  recording: Recording | undefined,
  database: string,
): { database: string | undefined; parts: LoginPart[] } | undefined {
  const answer = recording?.login(database)?.answer;
  if (answer === undefined) return undefined;
  const parts = answer.flatMap((part): LoginPart[] => {
    if ('message' in part) return [{ message: errorOf(part.message) }];
    if ('environment' in part) return [{ environment: part }];
    return 'server' in part ? [{ server: part.server, version: part.version }] : [];
  });
  const refusal = parts.find((part) => part.message !== undefined && part.message.class > 10)?.message;
  if (refusal !== undefined) throw refusal;
  const inDatabase = parts.findLast(({ environment }) => environment?.environment === EnvChange.Database);
  return { database: inDatabase?.environment?.value, parts };
}

function tooOld(tdsVersion: number): SqlServerError {
  const [major, minor] = [(tdsVersion >>> 28) & 0xf, (tdsVersion >>> 24) & 0xf];
  const message = `The SQL emulator speaks TDS 7.1 and later; the client requested ${major}.${minor}. Set its TDS version to 7.4.`;
  return new SqlServerError({ number: 17_832, class: 20, state: 1, message });
}
