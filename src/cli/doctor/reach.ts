import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { DoctorContext, StepResult } from './step.js';

/** Step: the addresses of the server's name. */
export async function resolveName({ host }: DoctorContext): Promise<StepResult> {
  const addresses = (await lookup(host, { all: true })).map(({ address }) => address);
  return { lines: [`${host} is ${addresses.join(', ')}`], facts: { host, addresses } };
}

/** Step: whether something listens there. */
export async function reachPort(context: DoctorContext): Promise<StepResult> {
  const startedAt = performance.now();
  const socket = await connectTo(context);
  const roundTripMs = performance.now() - startedAt;
  const { remoteAddress, localAddress } = socket;
  socket.destroy();
  return {
    lines: [`port ${context.port} answers (${remoteAddress})`],
    facts: { port: context.port, remoteAddress, localAddress, connectMs: Math.round(roundTripMs) },
  };
}

/** @throws an error with code ETIMEDOUT if nothing answers in time */
export async function connectTo({ host, port, timeoutMs }: DoctorContext): Promise<Socket> {
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
