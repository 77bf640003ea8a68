/** What a shell reports for a program that SIGPIPE has ended: 128 + 13. */
const READER_IS_GONE = 141;

/**
 * Ends the program when its output ends: quietly if no program reads it any more (`| head -1`), and with the reason if
 * it cannot be written (a full disk). Without this, Node prints a stack trace.
 */
export function endWithOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(READER_IS_GONE);
    process.stderr.write(`The output could not be written: ${error.message}\n`);
    process.exit(1);
  });
  // Messages that cannot be printed have no other effect.
  process.stderr.on('error', () => undefined);
}
