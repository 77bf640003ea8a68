/** The owner of a frame whose file is unknown. */
export const BARE = /** @type {const} */ ({ idle: 'idle', root: 'all' });

/** Owners by file; the first match applies. @type {readonly [RegExp, string][]} */
const FILES = [
  [/^node:.*(tls|net|stream|js_stream)/, 'Node.js: TLS, sockets, streams'],
  [/^node:/, 'Node.js: events, timers, the rest'],
  [/node_modules\/generic-pool\//, 'generic-pool'],
  [/node_modules\//, 'tedious and what it uses'],
  [/\/dist\//, 'mssql-token-pool'],
];

/** Frames without a file. @type {readonly [RegExp, string][]} */
const NATIVE = [
  [/^\(idle\)$/, BARE.idle],
  [/^\(root\)$/, BARE.root],
  [/^\(garbage collector\)$/, 'garbage collection'],
  [/^write/, 'writing to the socket, with encryption'],
];

/** The owner of a frame's code. @param {{ url: string, functionName: string }} frame */
export function ownerOf({ url, functionName }) {
  const [table, text, other] =
    url === '' ? [NATIVE, functionName, 'V8 and native code'] : [FILES, url, 'the benchmark'];
  return table.find(([pattern]) => pattern.test(text))?.[1] ?? other;
}
