import { once } from 'node:events';
import { isIP, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls, type PeerCertificate, type TLSSocket } from 'node:tls';
import { frameMessage, HEADER_LENGTH, PacketSplitter, PacketType } from '../../testing/tds/packet.js';
import { Encryption, readPreLogin, writePreLoginRequest } from '../../testing/tds/prelogin.js';
import { connectTlsInTds } from '../../testing/tds/tls.js';
import { connectTo } from './reach.js';
import { type DoctorContext, StepFailure, type StepResult } from './step.js';

const OFFERS: Readonly<Record<number, string>> = {
  [Encryption.Off]: 'encrypts only the login',
  [Encryption.On]: 'encrypts',
  [Encryption.NotSupported]: 'does not encrypt',
  [Encryption.Required]: 'requires encryption',
};

function isStrict({ settings }: DoctorContext): boolean {
  return (settings.configuration.options as { encrypt?: unknown }).encrypt === 'strict';
}

/** Step: what the server offers in PRELOGIN ([MS-TDS] 2.2.6.5), or that it speaks TLS first (TDS 8). */
export async function askEncryption(context: DoctorContext): Promise<StepResult> {
  if (isStrict(context)) {
    return { lines: ["TDS 8: TLS comes first (encrypt: 'strict')"], facts: { encryption: 'strict' } };
  }
  const socket = await connectTo(context);
  try {
    const offer = await preLogin(socket, context.timeoutMs);
    const text = OFFERS[offer] ?? `answers ${offer}`;
    if (offer !== Encryption.On && offer !== Encryption.Required) {
      throw new StepFailure(`The server ${text}.`, 'ERR_ENCRYPTION_REQUIRED', {
        cause:
          'The server, or something that pretends to be the server, does not encrypt: anyone in between could read the token.',
        next: 'Install a certificate on the server and restart it; if it has one, find out which program answers instead. No token is sent there.',
      });
    }
    return { lines: [`the server ${text}`], facts: { encryption: offer === Encryption.On ? 'on' : 'required' } };
  } finally {
    socket.destroy();
  }
}

/** Step: whose certificate it is, until when, and whether this machine trusts it. */
export async function inspectCertificate(context: DoctorContext): Promise<StepResult> {
  const socket = await connectTo(context);
  try {
    const secured = await handshake(socket, context);
    const certificate = secured.getPeerCertificate();
    // `authorizationError` is a code, typed as an Error.
    const flaw = secured.authorized ? undefined : String(secured.authorizationError);
    const protocol = secured.getProtocol() ?? '';
    secured.destroy();
    return certificateStep(context, certificate, flaw, protocol);
  } finally {
    socket.destroy();
  }
}

function certificateStep(
  context: DoctorContext,
  certificate: PeerCertificate,
  flaw: string | undefined,
  protocol: string,
): StepResult {
  const until = new Date(certificate.valid_to);
  const facts = {
    subject: nameOf(certificate.subject),
    issuer: nameOf(certificate.issuer),
    validTo: until.toISOString(),
    fingerprint256: certificate.fingerprint256,
    trusted: flaw === undefined,
    flaw,
    protocol,
  };
  const lines = [`${facts.subject}, by ${facts.issuer}, until ${facts.validTo.slice(0, 10)}, ${protocol}`];
  if (flaw === undefined) {
    const daysLeft = Math.floor((until.getTime() - context.now()) / 86_400_000);
    if (daysLeft < 14) context.findings.push({ text: `The certificate of the server expires in ${daysLeft} days.` });
    return { lines: [...lines, 'trusted'], facts };
  }
  if (context.settings.configuration.options?.trustServerCertificate === true) {
    context.findings.push({
      text: `The certificate is not checked (${flaw}): anyone in between can read everything, including the token.`,
      setting: { key: 'trustServerCertificate', value: false },
    });
    return { lines: [...lines, `not trusted (${flaw}), but trustServerCertificate is set`], facts };
  }
  throw Object.assign(new Error(`Not trusted: ${flaw} (${lines[0]}).`), { code: flaw });
}

async function handshake(socket: Socket, context: DoctorContext): Promise<TLSSocket> {
  const { configuration } = context.settings;
  const details = configuration.options?.cryptoCredentialsDetails;
  const name = (configuration.options as { serverName?: string }).serverName || context.host;
  const options: ConnectionOptions = {
    ...details,
    host: name,
    ...(isIP(name) === 0 ? { servername: name } : {}),
    // The certificate is examined afterwards; nothing is sent over it.
    rejectUnauthorized: false,
  };
  let secured: TLSSocket;
  if (isStrict(context)) secured = connectTls({ ...options, socket, ALPNProtocols: ['tds/8.0'] });
  else {
    await preLogin(socket, context.timeoutMs);
    secured = connectTlsInTds(socket, options);
  }
  secured.setTimeout(context.timeoutMs, () => secured.destroy(new Error('The TLS handshake took too long.')));
  await once(secured, 'secureConnect');
  return secured;
}

/** Sends PRELOGIN and returns the server's answer about encryption. */
function preLogin(socket: Socket, timeoutMs: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const body: Buffer[] = [];
    const splitter = new PacketSplitter(({ bytes, status }) => {
      body.push(bytes.subarray(HEADER_LENGTH));
      if ((status & 1) === 0) return;
      settle();
      resolve(readPreLogin(Buffer.concat(body)).encryption);
    });
    const onData = (chunk: Buffer): void => {
      try {
        splitter.push(chunk);
      } catch (error) {
        onError(error as Error);
      }
    };
    const onError = (error: Error): void => {
      settle();
      reject(error);
    };
    const onClose = (): void =>
      onError(
        new StepFailure('The server closed the connection at the first message.', 'ECONNRESET', {
          cause:
            "Something other than SQL Server listens on this port, or a server that accepts only TDS 8 (encrypt: 'strict').",
          next: "Check the port; try --encrypt strict for SQL Server 2022 with 'Force Strict Encryption'.",
        }),
      );
    const timer = setTimeout(() => onError(noAnswer()), timeoutMs);
    const settle = (): void => {
      clearTimeout(timer);
      socket.off('data', onData).off('error', onError).off('close', onClose);
    };
    socket.on('data', onData).on('error', onError).on('close', onClose);
    socket.write(frameMessage(PacketType.PreLogin, writePreLoginRequest(Encryption.On), 4096));
  });
}

function noAnswer(): Error {
  return new StepFailure('The server accepts connections but does not answer.', 'ETIMEDOUT', {
    cause: 'SQL Server is starting or hangs, or something else listens on this port.',
    next: 'Check the port and the state of the server, then run this again.',
  });
}

function nameOf(name: PeerCertificate['subject'] | undefined): string {
  const { CN, O } = (name ?? {}) as { CN?: string | string[]; O?: string | string[] };
  return String([CN ?? O ?? 'an unnamed subject'].flat()[0]);
}
