/** Error codes of the operating system, as messages that say what to change. */
const SYSTEM_ERRORS: Readonly<
  Record<string, (error: NodeJS.ErrnoException & { port?: number; address?: string; option?: string }) => string>
> = {
  EADDRINUSE: ({ address, port, option = '--listen' }) =>
    `Port ${port} on ${address} is in use by another program. Stop it, or choose another port with ${option}.`,
  EADDRNOTAVAIL: ({ address }) => `This machine has no address ${address}. Choose one it has with --listen.`,
  EACCES: ({ address, port, path, option = '--listen' }) =>
    port === undefined
      ? `No permission to use ${path ?? 'a file'}.`
      : `No permission to listen on port ${port} of ${address}. Choose a port of 1024 or more with ${option}.`,
  ENOENT: ({ path }) => `${path ?? 'A file'} does not exist.`,
  EISDIR: ({ path }) => `${path ?? 'A path'} is a directory; a file is needed.`,
};

/** An error as the last line of a program: once, and without a stack if the cause is outside the program. */
export function inWords(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  const { code } = thrown as NodeJS.ErrnoException;
  const words = code !== undefined && Object.hasOwn(SYSTEM_ERRORS, code) ? SYSTEM_ERRORS[code] : undefined;
  if (words !== undefined) return words(thrown);
  return [thrown.message || thrown.name, ...hintOf(thrown)].join('\n');
}

/** The hint of the first error of ours in the chain of causes: mssql's ConnectionError has ours as its cause. */
function hintOf(thrown: Error): string[] {
  let error: unknown = thrown;
  for (let depth = 0; error instanceof Error && depth < 5; depth += 1) {
    const { code, hint, cause } = error as NodeJS.ErrnoException & { hint?: unknown };
    if (typeof code === 'string' && code.startsWith('ERR_') && typeof hint === 'string') return [hint];
    error = cause;
  }
  return [];
}
