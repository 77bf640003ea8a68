/** Error codes of the operating system, as messages that say what to change. */
const SYSTEM_ERRORS: Readonly<
  Record<string, (error: NodeJS.ErrnoException & { port?: number; address?: string }) => string>
> = {
  EADDRINUSE: ({ address, port }) =>
    `Port ${port} on ${address} is in use by another program. Stop it, or choose another port with --listen.`,
  EADDRNOTAVAIL: ({ address }) => `This machine has no address ${address}. Choose one it has with --listen.`,
  EACCES: ({ address, port, path }) =>
    port === undefined
      ? `No permission to use ${path ?? 'a file'}.`
      : `No permission to listen on port ${port} of ${address}. Choose a port of 1024 or more with --listen.`,
  ENOENT: ({ path }) => `${path ?? 'A file'} does not exist.`,
  EISDIR: ({ path }) => `${path ?? 'A path'} is a directory; a file is needed.`,
};

/** An error as the last line of a program: once, without a stack where the cause is outside the program. */
export function inWords(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  const { code, hint } = thrown as NodeJS.ErrnoException & { hint?: unknown };
  const words = code !== undefined && Object.hasOwn(SYSTEM_ERRORS, code) ? SYSTEM_ERRORS[code] : undefined;
  if (words !== undefined) return words(thrown);
  const isOurs = typeof code === 'string' && code.startsWith('ERR_') && hint !== undefined;
  return isOurs ? [thrown.message, hint].join('\n') : thrown.message || thrown.name;
}
