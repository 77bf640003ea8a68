import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { EntraEmulator } from './entra/emulator.js';
import type { Fault } from './entra/faults.js';
import { readBody } from './entra/http-listener.js';
import { type OptionNames, PORT, requireKnownOptions } from './known-options.js';
import type { LoginFault } from './server/login-faults.js';
import type { TdsServer } from './server/tds-server.js';

/** The targets of a fault control, and where it listens. */
export interface FaultControlOptions {
  entra?: EntraEmulator | undefined;
  /** The SQL emulator or gateway. */
  server?: TdsServer | undefined;
  /** Port on 127.0.0.1. Default: any free port. */
  port?: number | undefined;
}

/** A running fault control, created by {@link startFaultControl}. */
export interface FaultControl extends AsyncDisposable {
  /** Its URL, e.g. `http://127.0.0.1:49152/_faults`. */
  readonly url: string;
  close(): Promise<void>;
}

/** The body of a POST to `/_faults`; it takes the fields of `entra.fail()` and `server.failLogins()`. */
type Command =
  | ({ target: 'entra' } & Fault)
  | { target: 'entra'; tokenLifetimeSeconds: number }
  | ({ target: 'sql' } & LoginFault)
  | { target: 'sql'; action: 'drop-connections' | 'pause' | 'resume' };

const OPTIONS: OptionNames<FaultControlOptions> = { entra: true, server: true, port: PORT };

/**
 * Lets tests in other languages control the faults of emulators and gateway: POST to `/_faults` sets a fault, DELETE ends
 * all of them. It listens only on the loopback and accepts only JSON, so that no web page can use it.
 *
 * @throws the error of `listen` if the port is taken.
 * @example
 * await using faults = await startFaultControl({ entra, server, port: 8081 });
 * // curl -H 'content-type: application/json' -d '{"target":"entra","status":429,"retryAfter":7}' localhost:8081/_faults
 * // curl -X DELETE localhost:8081/_faults
 */
export async function startFaultControl(options: FaultControlOptions): Promise<FaultControl> {
  requireKnownOptions('startFaultControl', options, OPTIONS);
  const http = createServer((request, response) => {
    answer(request, options).then(
      ({ status, body }) => send(response, status, body),
      (error: unknown) => send(response, 400, { error: error instanceof Error ? error.message : 'unknown' }),
    );
  });
  http.listen(options.port ?? 0, '127.0.0.1');
  await once(http, 'listening');
  const close = async (): Promise<void> => {
    if (!http.listening) return;
    const closed = once(http, 'close');
    http.close();
    http.closeAllConnections();
    await closed;
  };
  const { port } = http.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/_faults`, close, [Symbol.asyncDispose]: close };
}

async function answer(
  request: IncomingMessage,
  { entra, server }: FaultControlOptions,
): Promise<{ status: number; body: object }> {
  if (!isLoopback(request.headers.host))
    return { status: 403, body: { error: 'the Host header must name the loopback' } };
  if (new URL(request.url ?? '/', 'http://loopback').pathname !== '/_faults')
    return { status: 404, body: { error: 'not found' } };
  if (request.method === 'DELETE') {
    entra?.heal();
    server?.heal();
    server?.resume();
    return { status: 200, body: { faults: 'none' } };
  }
  if (request.method !== 'POST') return { status: 405, body: { error: 'POST a fault, or DELETE all' } };
  if (!/^application\/json\b/i.test(request.headers['content-type'] ?? '')) {
    return { status: 415, body: { error: 'the content type must be application/json' } };
  }
  return { status: 200, body: carryOut(commandIn(await readBody(request)), entra, server) };
}

function commandIn(text: string): Command {
  let command: unknown;
  try {
    command = JSON.parse(text);
  } catch {
    throw new TypeError('the body is not JSON');
  }
  const target = (command as { target?: unknown } | null)?.target;
  if (target === 'entra' || target === 'sql') return command as Command;
  throw new TypeError("target must be 'entra' or 'sql'");
}

function carryOut(command: Command, entra: EntraEmulator | undefined, server: TdsServer | undefined): object {
  if (command.target === 'entra') {
    if (entra === undefined) throw new TypeError("there is no target 'entra' here");
    if ('tokenLifetimeSeconds' in command) {
      requireOnly(command, 'tokenLifetimeSeconds');
      entra.setTokenLifetime(command.tokenLifetimeSeconds);
      return { tokenLifetimeSeconds: command.tokenLifetimeSeconds };
    }
    const { target: _, ...fault } = command;
    entra.fail(withoutFunctions(fault));
    return { set: fault };
  }
  if (server === undefined) throw new TypeError("there is no target 'sql' here");
  if (!('action' in command)) {
    const { target: _, ...fault } = command;
    server.failLogins(fault);
    return { set: fault };
  }
  requireOnly(command, 'action');
  switch (command.action) {
    case 'drop-connections':
      return { dropped: server.dropConnections() };
    case 'pause':
      server.pause();
      return { paused: true };
    case 'resume':
      server.resume();
      return { paused: false };
    default:
      throw new TypeError("action must be 'drop-connections', 'pause' or 'resume'");
  }
}

/** Carrying out only part of a command would be worse than refusing it. */
function requireOnly(command: Command, key: string): void {
  const other = Object.keys(command).find((each) => each !== 'target' && each !== key);
  if (other !== undefined)
    throw new TypeError(`'${other.slice(0, 40)}' cannot be combined with ${key}; send two requests`);
}

/** `when` is a function, which JSON cannot represent. */
function withoutFunctions({ when: _, ...fault }: Fault): Fault {
  return fault;
}

/** DNS rebinding: a web page under a name that resolves to this address sends that name as Host. */
function isLoopback(host: string | undefined): boolean {
  return /^(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?$/i.test(host ?? '');
}

function send(response: ServerResponse, status: number, body: object): void {
  // The rest of a refused body would be taken for the next request.
  if (status >= 400) response.setHeader('Connection', 'close');
  response.writeHead(status, { 'Content-Type': 'application/json; charset=utf-8', 'Cache-Control': 'no-store' });
  response.end(`${JSON.stringify(body)}\n`);
}
