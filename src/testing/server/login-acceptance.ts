import { EnvChange } from '../tds/response.js';
import { SqlServerError } from '../tds/server-error.js';
import { INITIAL_PACKET_SIZE } from './accept-encryption.js';
import { VERSION } from './server-context.js';
import type { LoggedInClient } from './session-host.js';

/** Packet sizes SQL Server agrees to. */
const [SMALLEST_PACKET, LARGEST_PACKET] = [512, 32_767];

/** Accepts a login as SQL Server does, perhaps sending the client on to another server, and settles packet size and spid. */
export function sendLoginResponse(
  client: LoggedInClient,
  session: {
    spid: number;
    database: string;
    serverName: string;
    redirectTo?: { server: string; port: number } | undefined;
  },
): void {
  const { login, who, tdsVersion } = client;
  const { spid, database, serverName, redirectTo } = session;
  client.agree({ packetSize: INITIAL_PACKET_SIZE, spid });
  const packetSize = Math.min(LARGEST_PACKET, Math.max(SMALLEST_PACKET, login.packetSize || INITIAL_PACKET_SIZE));
  const response = client.newResponse();
  response.envChangeText(EnvChange.Database, database, 'master');
  response.message(
    new SqlServerError({ number: 5701, state: 2, class: 0, message: `Changed database context to '${database}'.` }),
    serverName,
  );
  response.collation();
  response.envChangeText(EnvChange.Language, 'us_english', '');
  response.loginAck(tdsVersion, VERSION);
  response.envChangeText(EnvChange.PacketSize, String(packetSize), String(INITIAL_PACKET_SIZE));
  if (who.byToken || login.utf8) response.featureAck({ fedAuth: who.byToken, utf8: login.utf8 });
  if (redirectTo !== undefined) response.routing(redirectTo.server, redirectTo.port);
  response.done('done', 0);
  response.end();
  client.agree({ packetSize, spid });
}
