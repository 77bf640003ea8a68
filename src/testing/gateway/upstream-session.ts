import { upstreamUnavailable } from '../server/login-errors.js';
import { endsSession, type LoggedInClient, type OpenSession } from '../server/session-host.js';
import { adaptLoginResponse } from '../tds/login-response.js';
import { frameMessage, PacketType } from '../tds/packet.js';
import { type Gate, relay } from './relay.js';
import { logInUpstream, type UpstreamConfig, type UpstreamLogin } from './upstream.js';

/** What the sessions of one gateway share. */
export interface GatewayContext {
  readonly upstream: UpstreamConfig;
  nextSpid(): number;
  /** Resolves when the gateway goes on; undefined if it is not paused. */
  running(): Promise<void> | undefined;
  recordUpstreamError(error: Error): void;
}

/** Packet size until the login agrees on another. */
const INITIAL_PACKET_SIZE = 4096;

/** Logs in upstream for the client and passes on everything that follows. */
export async function openUpstreamSession(client: LoggedInClient, gateway: GatewayContext): Promise<OpenSession> {
  const { upstream } = gateway;
  const { response, spid, packetSize, stream } = await logIn(client, gateway);
  if (!response.accepted) {
    stream.destroy();
    throw response.error ?? upstreamUnavailable(client.login.database, upstream.server);
  }
  const adapted = adaptLoginResponse(response, { fedAuth: client.who.byToken, tdsVersion: client.tdsVersion });
  client.messages.write(frameMessage(PacketType.TabularResult, adapted, INITIAL_PACKET_SIZE, 0, spid));
  client.agree({ packetSize, spid });
  client.messages.detach();
  const serve = (): Promise<void> => relay(client.messages.stream, stream, gateOf(client, gateway));
  return { spid: spid === 0 ? gateway.nextSpid() : spid, serve };
}

async function logIn(
  client: LoggedInClient,
  { upstream, recordUpstreamError }: GatewayContext,
): Promise<UpstreamLogin> {
  try {
    return await logInUpstream(upstream, client.login, proofFor(client, upstream));
  } catch (error) {
    recordUpstreamError(error as Error);
    throw upstreamUnavailable(client.login.database, upstream.server);
  }
}

/** The SQL login a principal has upstream; a client that came with a password not checked here is passed on as it is. */
function proofFor({ who, login }: LoggedInClient, upstream: UpstreamConfig): { user: string; password: string } {
  const own = upstream.logins?.[who.principal];
  if (own !== undefined) return own;
  if (login.proof.kind === 'sql') return { user: login.proof.userName, password: login.proof.password };
  return { user: upstream.user ?? '', password: upstream.password ?? '' };
}

function gateOf(client: LoggedInClient, { running }: GatewayContext): Gate {
  return {
    open: running,
    refuse: (type, status) => {
      const refusal = client.expiryRefusal(type, status);
      if (refusal === undefined) return undefined;
      return { answer: client.refusal(refusal), ends: endsSession(refusal) };
    },
  };
}
