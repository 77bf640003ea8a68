import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdirSync, openSync, symlinkSync, writeFileSync } from 'node:fs';

const MIB = 1024 * 1024;

/** What may be in the file that another process keeps fresh for us, by name. Each writes it and returns how to undo it. */
const KINDS = {
  'a token': (path: string, token: string) => writeFileSync(path, `${token}\n`),
  'a token with a byte order mark': (path: string, token: string) => writeFileSync(path, `\ufeff${token}`),
  'a token between blanks': (path: string, token: string) =>
    writeFileSync(path, `${' '.repeat(20_000)}${token}${'\n'.repeat(20_000)}`),
  'half a token': (path: string, token: string) => writeFileSync(path, token.slice(0, token.lastIndexOf('.') - 1)),
  'two tokens': (path: string, token: string) => writeFileSync(path, `${token}\n${token}\n`),
  'a token in JSON': (path: string, token: string) => writeFileSync(path, JSON.stringify({ token })),
  nothing: (path: string) => writeFileSync(path, ''),
  'a line break': (path: string) => writeFileSync(path, '\r\n'),
  'bytes that are not UTF-8': (path: string) => writeFileSync(path, Buffer.alloc(1_000, 0xff)),
  'NUL bytes': (path: string) => writeFileSync(path, Buffer.alloc(1_000)),
  '1 MiB of blanks': (path: string) => writeFileSync(path, ' '.repeat(MIB)),
  '1 MiB of dots': (path: string) => writeFileSync(path, '.'.repeat(MIB)),
  'a device without end': (path: string) => symlinkSync('/dev/zero', path),
  'a folder': (path: string) => mkdirSync(path),
  'a link to itself': (path: string) => symlinkSync(path, path),
  'no file': () => undefined,
  // Opening it waits for a writer, in one of the four threads that all files and host names of the process share.
  'a pipe without a writer': (path: string) => {
    execFileSync('mkfifo', [path]);
    return () => closeSync(openSync(path, constants.O_RDWR));
  },
  'a pipe whose writer says nothing': (path: string) => {
    execFileSync('mkfifo', [path]);
    const writer = openSync(path, constants.O_RDWR);
    return () => closeSync(writer);
  },
} as const;

export type FileKind = keyof typeof KINDS;

const ON_WINDOWS: ReadonlySet<string> = new Set<FileKind>([
  'a token',
  'nothing',
  'no file',
  'a folder',
  '1 MiB of dots',
]);

export const FILE_KINDS = (Object.keys(KINDS) as FileKind[]).filter(
  (kind) => process.platform !== 'win32' || ON_WINDOWS.has(kind),
);

/** Writes the file, and returns what has to be done before its folder is removed. */
export function writeTokenFile(path: string, kind: FileKind, token: string): () => void {
  return KINDS[kind](path, token) ?? (() => {});
}
