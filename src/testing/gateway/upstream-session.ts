import { noDatabaseUser, upstreamUnavailable } from '../server/login-errors.js';
import { grantedTo } from '../server/principals.js';
import { closesConnection, type LoggedInClient, type OpenSession } from '../server/session-host.js';
import { adaptLoginResponse } from '../tds/login-response.js';
import { announcesOdbc, isBeforeTds72 } from '../tds/login7.js';
import { ConnectionClosedError } from '../tds/message-stream.js';
import { frameMessage, PacketType } from '../tds/packet.js';
import { SessionTap, type TrafficRecorder } from '../traffic/recorder.js';
import { type Gate, relay } from './relay.js';
import { logInUpstream, type UpstreamConfig, type UpstreamLogin, type UpstreamProof } from './upstream.js';

/** State shared by the sessions of one gateway. */
export interface GatewayContext {
  readonly upstream: UpstreamConfig;
  nextSpid(): number;
  /** Resolves when the gateway resumes; undefined if it is not paused. */
  running(): Promise<void> | undefined;
  recordUpstreamError(error: Error): void;
  /** Records the server's answers. */
  readonly recorder: TrafficRecorder | undefined;
}

/** Packet size until the login negotiates another. */
const INITIAL_PACKET_SIZE = 4096;

/** Logs in upstream for the client and forwards everything that follows. */
export async function openUpstreamSession(client: LoggedInClient, gateway: GatewayContext): Promise<OpenSession> {
  const { upstream } = gateway;
  const { response, spid, packetSize, stream } = await logIn(client, gateway);
  const recorder = isBeforeTds72(client.login.tdsVersion) ? undefined : gateway.recorder;
  recorder?.login(client.login.database, Buffer.concat(response.tokens.map(({ bytes }) => bytes)));
  if (!response.accepted) {
    stream.destroy();
    throw response.error ?? upstreamUnavailable(client.login.database, upstream.server);
  }
  const adapted = adaptLoginResponse(response, { fedAuth: client.who.byToken, tdsVersion: client.tdsVersion });
  client.messages.write(frameMessage(PacketType.TabularResult, adapted, INITIAL_PACKET_SIZE, 0, spid));
  client.agree({ packetSize, spid });
  client.messages.detach();
  const serve = (): Promise<void> =>
    relay(
      client.messages.stream,
      stream,
      gateOf(client, gateway),
      recorder && new SessionTap(recorder, { quotedIdentifier: announcesOdbc(client.login.client.flags) }),
    );
  return { spid: spid === 0 ? gateway.nextSpid() : spid, serve };
}

async function logIn(
  client: LoggedInClient,
  { upstream, recordUpstreamError }: GatewayContext,
): Promise<UpstreamLogin> {
  const proof = proofFor(client, upstream);
  if (proof === undefined) {
    recordUpstreamError(
      new Error(`no upstream login for '${client.who.principal}': set upstream.user or upstream.logins`),
    );
    throw noDatabaseUser();
  }
  const left = new AbortController();
  const remove = client.messages.onceGone(() =>
    left.abort(new ConnectionClosedError('the client left during the login')),
  );
  try {
    return await logInUpstream(upstream, client.login, proof, left.signal);
  } catch (error) {
    left.signal.throwIfAborted();
    recordUpstreamError(error as Error);
    throw upstreamUnavailable(client.login.database, upstream.server);
  } finally {
    remove();
  }
}

/**
 * The login for the upstream server. A client with a password logs in with its own name and password, so that it gets
 * the rights of that login and nothing by name alone. The gateway's logins are only for principals with a valid token.
 * Undefined if there is none for the principal.
 */
function proofFor({ who, login }: LoggedInClient, upstream: UpstreamConfig): UpstreamProof | undefined {
  if (login.proof.kind === 'sql') return { user: login.proof.userName, password: login.proof.password };
  if (!who.byToken) return undefined;
  const own = grantedTo(who, upstream.logins);
  if (own !== undefined) return own;
  return upstream.user === undefined ? undefined : { user: upstream.user, password: upstream.password ?? '' };
}

function gateOf(client: LoggedInClient, { running }: GatewayContext): Gate {
  return {
    open: running,
    refuse: (type, status) => {
      const refusal = client.expiryRefusal(type, status);
      if (refusal === undefined) return undefined;
      return { answer: client.refusal(refusal), ends: closesConnection(refusal) };
    },
  };
}
