import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import type { Certificate } from '../../../src/testing/certificate.js';

/** What an answer may name. */
export interface Places {
  /** The provider's own address. */
  self: string;
  /** A key file that Azure Arc's agent may name. */
  keyFile: string;
  /** A certificate with its private key, PEM, as Key Vault returns it. */
  pem: string;
}

/** What a provider sends for one request, byte by byte, and how it ends the connection. */
export interface Answer {
  name: string;
  /** `heard` is the request, headers and body, as text. */
  bytes(heard: string, places: Places): Buffer;
  /** Bytes at a time; undefined for all at once. */
  drip: number | undefined;
  ending: 'FIN' | 'RST' | 'silence';
}

const STATUS = [
  200, 200, 200, 200, 201, 204, 100, 101, 103, 301, 307, 400, 400, 400, 401, 401, 403, 404, 408, 410,
] as const;
const MORE_STATUS = [418, 429, 429, 500, 502, 503, 504, 599, 999, 0, 42] as const;

/** Header lines that a client may stumble over. `SELF` is the provider's own address. */
const HEADERS = [
  'Content-Type: application/json',
  'Content-Type: text/html; charset=utf-16',
  'Content-Encoding: gzip',
  'Content-Encoding: br, gzip, identity, nonsense',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: gzip, chunked',
  'Content-Length: 10',
  'Content-Length: 99999999',
  'Content-Length: -1',
  'Content-Length: five',
  'Retry-After: 0',
  'Retry-After: -5',
  'Retry-After: 1e9',
  'Retry-After: 99999999999999999999',
  'Retry-After: NaN',
  'Retry-After: Infinity',
  'Retry-After: soon',
  'Retry-After: Wed, 21 Oct 2099 07:28:00 GMT',
  'Retry-After: Wed, 21 Oct 1999 07:28:00 GMT',
  'Retry-After: 5, 10',
  'Retry-After: 7\r\nRetry-After: 8',
  `Retry-After: ${' '.repeat(2_000)}9${' '.repeat(2_000)}`,
  'Location: SELF',
  'Location: http://169.254.169.254/',
  'WWW-Authenticate: Basic realm=/etc/passwd',
  'WWW-Authenticate: Basic realm=/var/opt/azcmagent/tokens/../../../../etc/passwd',
  'WWW-Authenticate: Basic realm=',
  'WWW-Authenticate: Basic realm=KEYFILE',
  'WWW-Authenticate: Bearer claims="e30=", error="insufficient_claims"',
  'Connection: upgrade\r\nUpgrade: websocket',
  'Set-Cookie: a=b\r\nSet-Cookie: a=c',
  `X-Long: ${'x'.repeat(20_000)}`,
  'No colon at all',
  ': no name',
  ' folded: header',
  'x-ms-request-id: \u00ff\u00fe',
] as const;

const MIB = 1024 * 1024;
const NUMBERS = [0, -1, 0.5, 3600, 1e300, 2 ** 53, '3600', '-5', 'soon', '', ' ', null, true, [], {}, [3600], { a: 1 }];

/** Fields of the answers of all protocols. `HEARD` is replaced by what the client sent. */
const FIELDS = {
  access_token: ['a.b.c', 'x', '', ' ', 'HEARD', 'a\r\nb', 42, null, {}, ['a'], 'x'.repeat(100_000)],
  token_type: ['Bearer', 'bearer', 'pop', '', 7, null, {}],
  expires_in: NUMBERS,
  expires_on: [...NUMBERS, 4_000_000_000, '4000000000', '11/05/2031 15:18:31 +00:00'],
  refresh_in: NUMBERS,
  refresh_token: ['r', '', 7, {}, 'HEARD'],
  id_token: ['a.b.c', '..', 'e30.e30.', 7, {}],
  client_info: ['e30', '!', 7, {}],
  error: [
    'invalid_grant',
    'invalid_client',
    'interaction_required',
    'authorization_pending',
    'slow_down',
    'HEARD',
    7,
    {},
    [],
  ],
  error_description: ['AADSTS7000215: no', 'HEARD', ' '.repeat(200_000), 'AADSTS'.repeat(50_000), 7, {}, ['x'], null],
  error_codes: [[7000215], 'x', [null], {}, [1e300]],
  suberror: ['message_only', 7, {}],
  claims: ['{}', 'HEARD', 7],
  correlation_id: ['HEARD', 7, {}],
  message: ['HEARD', 7, {}],
  // Discovery.
  token_endpoint: ['SELF/token', 'http://169.254.169.254/token', 'file:///etc/passwd', 'javascript:1', '', 7, {}],
  authorization_endpoint: ['SELF/authorize', 7],
  issuer: ['SELF', 'HEARD', 7],
  jwks_uri: ['SELF/keys', 7],
  tenant_discovery_endpoint: ['SELF', 7],
  metadata: [[], {}, [{ preferred_network: 'evil', preferred_cache: 'evil', aliases: ['evil'] }]],
  // Device code.
  device_code: ['d', '', 7, {}],
  user_code: ['HEARD', 'u', 7, {}],
  verification_uri: ['SELF', 'javascript:1', 7],
  interval: [0, -1, 0.001, 1e300, 'soon', null, 5],
  // Federation, Key Vault.
  value: ['a.b.c', 'PEM', 'HEARD', 7, {}],
  AccessKeyId: ['AKIAEXAMPLE', 'a\nb', '', 7, {}],
  SecretAccessKey: ['s', '', 7, {}],
  Token: ['t', 'a\r\nb: c', '', 7, {}],
  __proto__polluted: ['x'],
} as const;

const jsonBody = fc
  .record(
    Object.fromEntries(Object.entries(FIELDS).map(([key, values]) => [key, fc.constantFrom<unknown>(...values)])),
    { requiredKeys: [] },
  )
  .map((fields) => ({ name: JSON.stringify(fields).slice(0, 300), text: JSON.stringify(fields) }));

/** A device code that works far enough to reach the polling. */
const started = fc.constant({
  name: 'a device code',
  text: '{"device_code":"d","user_code":"u","verification_uri":"https://x","expires_in":900,"interval":0.01,"access_token":"a.b.c"}',
});

const otherBody = fc.constantFrom<{ name: string; text: string | Buffer }>(
  { name: 'nothing', text: '' },
  { name: 'blanks', text: ' '.repeat(MIB - 10) },
  { name: 'blanks and an object', text: `${' '.repeat(MIB - 100)}{"error":"x"}` },
  { name: 'deep arrays', text: '['.repeat(200_000) },
  { name: 'deep objects', text: '{"a":'.repeat(100_000) },
  { name: 'closed deep arrays', text: `${'['.repeat(100_000)}${']'.repeat(100_000)}` },
  { name: 'many keys', text: `{${Array.from({ length: 50_000 }, (_, i) => `"k${i}":1`).join()}}` },
  { name: 'a long string', text: JSON.stringify({ error: 'x'.repeat(MIB - 100) }) },
  { name: 'quotes', text: '"'.repeat(MIB - 1) },
  { name: '3 MiB', text: 'x'.repeat(3 * MIB) },
  { name: 'invalid UTF-8', text: Buffer.alloc(1000, 0xff) },
  { name: 'half an object', text: '{"access_token":"a.b' },
  { name: 'what was sent', text: 'HEARD' },
  { name: 'HTML with what was sent', text: '<html><title>HEARD</title>' },
  { name: '__proto__', text: '{"__proto__":{"access_token":"x"},"constructor":{"prototype":{"y":1}}}' },
  { name: 'a gzip bomb', text: gzipSync(Buffer.alloc(64 * MIB)) },
  { name: 'null', text: 'null' },
  { name: 'a text', text: '"token"' },
  { name: 'chunks without end', text: 'ffffffff\r\nabc' },
  { name: 'a chunk of negative size', text: '-1\r\nabc\r\n0\r\n\r\n' },
);

/** The normal answer of each platform, so that the next endpoint of a method is reached. */
const tokenOrKeys = {
  name: 'a token, or keys',
  text: '{"access_token":"a.b.c","token_type":"Bearer","expires_in":3600,"value":"a.b.c","AccessKeyId":"AKIAEXAMPLE","SecretAccessKey":"s","Token":"t"}',
};
const working = fc.constantFrom<{ name: string; text: string }>(
  tokenOrKeys,
  tokenOrKeys,
  tokenOrKeys,
  { name: 'a certificate', text: '{"access_token":"a.b.c","token_type":"Bearer","expires_in":3600,"value":"PEM"}' },
  { name: 'a bare token', text: 'a.b.c' },
  {
    name: 'a token of STS',
    text: '<GetWebIdentityTokenResponse><GetWebIdentityTokenResult><WebIdentityToken>a.b.c</WebIdentityToken></GetWebIdentityTokenResult></GetWebIdentityTokenResponse>',
  },
  {
    name: 'an error of STS',
    text: '<ErrorResponse><Error><Code>HEARD</Code><Message>HEARD</Message></Error></ErrorResponse>',
  },
  { name: 'a token of STS without end', text: `<WebIdentityToken>${'<Code>'.repeat(10_000)}HEARD` },
);
const plain = fc.record({
  status: fc.constantFrom(200, 200, 200, 401, 403),
  headers: fc.constantFrom<string[]>([], [], ['WWW-Authenticate: Basic realm=KEYFILE']),
  length: fc.constant(true),
  reason: fc.constant('OK'),
  body: working,
  drip: fc.constant(undefined),
  ending: fc.constant<Answer['ending']>('FIN'),
  repeats: fc.constant(0),
});

/** Header lines that an HTTP parser accepts, so that the client has to judge their content. */
const WELL_FORMED = HEADERS.filter((line) =>
  /^(content-type|retry-after|location|www-authenticate|set-cookie)/i.test(line),
);
const body = fc.oneof(
  { weight: 6, arbitrary: jsonBody },
  { weight: 3, arbitrary: otherBody },
  { weight: 1, arbitrary: started },
);

/** Well-formed HTTP with strange contents; and HTTP that is strange itself. */
const polite = fc.record({
  status: fc.constantFrom<number>(...STATUS.filter((status) => status >= 200), ...MORE_STATUS.filter((s) => s > 400)),
  headers: fc.uniqueArray(fc.constantFrom<string>(...WELL_FORMED), { maxLength: 2 }),
  length: fc.constant(true),
  reason: fc.constantFrom('OK', 'HEARD'),
  body,
  drip: fc.constant(undefined),
  ending: fc.constant<Answer['ending']>('FIN'),
  repeats: fc.constant(0),
});
const rude = fc.record({
  status: fc.constantFrom<number>(...STATUS, ...MORE_STATUS),
  headers: fc.uniqueArray(fc.constantFrom<string>(...HEADERS), { maxLength: 3 }),
  length: fc.boolean(),
  reason: fc.constantFrom('OK', 'HEARD', '', 'x'.repeat(500)),
  body,
  drip: fc.constantFrom(undefined, undefined, undefined, 7),
  ending: fc.constantFrom<Answer['ending']>('FIN', 'FIN', 'RST', 'silence'),
  repeats: fc.constantFrom(0, 0, 0, 50),
});

interface Parts {
  status: number;
  headers: readonly string[];
  length: boolean;
  reason: string;
  body: { name: string; text: string | Buffer };
  drip: number | undefined;
  ending: Answer['ending'];
  repeats: number;
}

/** What a provider does with one request. */
const answers = fc.oneof(
  { weight: 3, arbitrary: polite },
  { weight: 1, arbitrary: plain },
  { weight: 1, arbitrary: rude },
);

/** What it does with one request after the other. A method with several endpoints asks them in turn. */
export const scripts: fc.Arbitrary<Answer[]> = fc
  .tuple(fc.array(plain, { maxLength: 2 }), fc.array(answers, { minLength: 1, maxLength: 4 }))
  .map(([first, then]) => [...first, ...then].map(toAnswer));

function toAnswer({ status, headers, length, reason, body, drip, ending, repeats }: Parts): Answer {
  return {
    name: `HTTP ${status}${reason === 'HEARD' ? ' (what was sent)' : ''}, ${headers.map((line) => line.slice(0, 60)).join(', ')}${length ? ', its length' : ''}: ${body.name}${drip ? ', slowly' : ''}, ${ending}${repeats ? ', after 100s' : ''}`,
    bytes(heard, { self, keyFile, pem }) {
      const placed = (text: string): string => text.replaceAll('SELF', self).replaceAll('KEYFILE', keyFile);
      const escapedPem = JSON.stringify(pem).slice(1, -1);
      const content =
        typeof body.text === 'string'
          ? Buffer.from(fill(placed(body.text.replaceAll('"PEM"', `"${escapedPem}"`)), heard))
          : body.text;
      const lines = [
        `HTTP/1.1 ${status} ${fill(reason, heard).replace(/[\r\n]+/g, ' ')}`,
        ...headers.map(placed),
        ...(length ? [`Content-Length: ${content.length}`] : []),
      ];
      return Buffer.concat([
        Buffer.from('HTTP/1.1 100 Continue\r\n\r\n'.repeat(repeats)),
        Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'),
        content,
      ]);
    },
    drip,
    ending,
  };
}

/** Inside JSON, what was sent is escaped as it should be. */
function fill(text: string, heard: string): string {
  const isJson = text.startsWith('{');
  return text.replaceAll('HEARD', () => (isJson ? JSON.stringify(heard).slice(1, -1) : heard));
}

/** How a provider is reached, and what its answers may name. */
export interface HostileProviderOptions extends Partial<Omit<Places, 'self'>> {
  /** With it the provider speaks https. */
  certificate?: Certificate | undefined;
}

/** An identity provider that is made of nothing but `node:net`. It gives the answers in turn, then the last one again. */
export class HostileProvider implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #answers: readonly Answer[];
  readonly #options: HostileProviderOptions;
  requests = 0;
  url = '';

  private constructor(answers: readonly Answer[], options: HostileProviderOptions) {
    this.#answers = answers;
    this.#options = options;
    const { certificate } = options;
    const onSocket = (socket: Socket): void => this.#converse(socket);
    this.#server = certificate === undefined ? createServer(onSocket) : createTlsServer({ ...certificate }, onSocket);
  }

  static async start(answers: readonly Answer[], options: HostileProviderOptions = {}): Promise<HostileProvider> {
    const provider = new HostileProvider(answers, options);
    await new Promise<void>((resolve) => provider.#server.listen(0, '127.0.0.1', resolve));
    const { port } = provider.#server.address() as AddressInfo;
    provider.url = `${options.certificate === undefined ? 'http' : 'https'}://127.0.0.1:${port}`;
    return provider;
  }

  #converse(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => {});
    let heard = '';
    socket.on('data', (bytes) => {
      heard += bytes.toString('latin1');
      const end = heard.indexOf('\r\n\r\n');
      if (end === -1) return;
      const [, size = '0'] = /content-length: (\d+)/i.exec(heard) ?? [];
      if (heard.length < end + 4 + Number(size)) return;
      const request = heard;
      heard = '';
      this.#answer(socket, request);
    });
  }

  #answer(socket: Socket, request: string): void {
    const answer = this.#answers[Math.min(this.requests, this.#answers.length - 1)] as Answer;
    this.requests += 1;
    const [head = '', body = ''] = request.split('\r\n\r\n');
    const secretLines = head
      .split('\r\n')
      .filter((line) => /^(authorization|x-identity-header|secret|x-amz-security-token):/i.test(line));
    const values = [...new URLSearchParams(body).values(), ...secretLines, body, head];
    const heard = values.join(' ').slice(0, 20_000);
    const { keyFile = '/nowhere', pem = 'PEM' } = this.#options;
    const bytes = answer.bytes(heard, { self: this.url, keyFile, pem });
    const end = (): void => {
      if (answer.ending === 'FIN') socket.end();
      if (answer.ending !== 'RST') return;
      // There is no RST in a TLS socket of Node.js; the one below it has none to offer either.
      if (this.#options.certificate === undefined) socket.resetAndDestroy();
      else socket.destroy();
    };
    if (answer.drip === undefined) {
      socket.write(bytes, end);
      return;
    }
    let at = 0;
    const next = (): void => {
      if (socket.destroyed) return;
      if (at >= bytes.length) {
        end();
        return;
      }
      const until = at + (answer.drip as number);
      socket.write(bytes.subarray(at, until));
      at = until;
      setTimeout(next, 5).unref();
    };
    next();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
