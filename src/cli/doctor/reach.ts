import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { StepResult, Visit } from './step.js';

/** Step: which addresses the server's name has. */
export async function resolveName({ host }: Visit): Promise<StepResult> {
  const addresses = (await lookup(host, { all: true })).map(({ address }) => address);
  return { lines: [`${host} is ${addresses.join(', ')}`], facts: { host, addresses } };
}

/** Step: whether something listens there. */
export async function reachPort(visit: Visit): Promise<StepResult> {
  const startedAt = performance.now();
  const socket = await connectTo(visit);
  const roundTripMs = performance.now() - startedAt;
  const { remoteAddress, localAddress } = socket;
  socket.destroy();
  return {
    lines: [`port ${visit.port} answers (${remoteAddress})`],
    facts: { port: visit.port, remoteAddress, localAddress, connectMs: Math.round(roundTripMs) },
  };
}

/** @throws an error with code ETIMEDOUT where nothing answers in time */
export async function connectTo({ host, port, timeoutMs }: Visit): Promise<Socket> {
  const socket = connect({ host, port, noDelay: true });
  const timer = setTimeout(() => {
    const error = new Error(`${host}:${port} did not answer within ${timeoutMs} ms.`);
    socket.destroy(Object.assign(error, { code: 'ETIMEDOUT' }));
  }, timeoutMs);
  try {
    await once(socket, 'connect');
    return socket;
  } finally {
    clearTimeout(timer);
  }
}
