import { EnvChange, type Response } from '../tds/response.js';
import { SqlServerError } from '../tds/server-error.js';
import { COLLATION } from '../tds/wire-type.js';
import { INITIAL_PACKET_SIZE } from './accept-encryption.js';
import { VERSION } from './server-context.js';
import type { LoggedInClient } from './session-host.js';

/** Packet sizes that SQL Server accepts. */
const [SMALLEST_PACKET, LARGEST_PACKET] = [512, 32_767];

/** A part of a login response that replaces the usual one. */
export interface LoginPart {
  message?: SqlServerError;
  /** Text for database, language and packet size; bytes in hexadecimal for the others. */
  environment?: { environment: number; value: string; before: string };
  server?: string;
  version?: string;
}

/** Accepts a login as SQL Server does, with an optional redirect to another server, and sets packet size and spid. */
export function sendLoginResponse(
  client: LoggedInClient,
  session: {
    spid: number;
    database: string;
    serverName: string;
    redirectTo?: { server: string; port: number } | undefined;
    recorded?: readonly LoginPart[] | undefined;
  },
): void {
  const { login, who, tdsVersion } = client;
  const { spid, serverName, redirectTo, recorded } = session;
  client.agree({ packetSize: INITIAL_PACKET_SIZE, spid });
  const packetSize = Math.min(LARGEST_PACKET, Math.max(SMALLEST_PACKET, login.packetSize || INITIAL_PACKET_SIZE));
  const response = client.newResponse();
  for (const part of recorded ?? usualParts(session.database)) write(part, response, { tdsVersion, serverName });
  response.envChangeText(EnvChange.PacketSize, String(packetSize), String(INITIAL_PACKET_SIZE));
  if (who.byToken || login.utf8) response.featureAck({ fedAuth: who.byToken, utf8: login.utf8 });
  if (redirectTo !== undefined) response.routing(redirectTo.server, redirectTo.port);
  response.done('done', 0);
  response.end();
  client.agree({ packetSize, spid });
}

function usualParts(database: string): LoginPart[] {
  const message = `Changed database context to '${database}'.`;
  return [
    { environment: { environment: EnvChange.Database, value: database, before: 'master' } },
    { message: new SqlServerError({ number: 5701, state: 2, class: 0, message }) },
    { environment: { environment: EnvChange.Collation, value: COLLATION.toString('hex'), before: '' } },
    { environment: { environment: EnvChange.Language, value: 'us_english', before: '' } },
    { server: 'Microsoft SQL Server', version: VERSION.join('.') },
  ];
}

function write(
  { message, environment, server, version = '' }: LoginPart,
  response: Response,
  { tdsVersion, serverName }: { tdsVersion: number; serverName: string },
): void {
  if (message !== undefined) response.message(message, serverName);
  if (server !== undefined) response.loginAck(tdsVersion, version.split('.').map(Number), server);
  if (environment === undefined || environment.environment === EnvChange.PacketSize) return;
  const { environment: change, value, before } = environment;
  if (change === EnvChange.Database || change === EnvChange.Language) response.envChangeText(change, value, before);
  else response.envChangeBytes(change, Buffer.from(value, 'hex'), Buffer.from(before, 'hex'));
}
