import { settingsFromArgs } from '../../../src/cli/doctor/settings-from-args.js';
import { entra } from '../../../src/cli/entra.js';
import { gateway } from '../../../src/cli/gateway.js';
import { createCredential, createTokenPool, withTokenRefresh } from '../../../src/index.js';
import { ConnectionPool } from '../../../src/mssql/index.js';

/**
 * A way for a user's text into the library. It throws, or returns what a user may print; a returned config is the
 * user's own.
 */
export type EntryPoint = (text: string) => unknown;

/** Programs are run in this process; what they print is what they give. */
async function printedBy(run: () => Promise<number>): Promise<string> {
  const { stdout, stderr } = process;
  const write = [stdout.write, stderr.write] as const;
  let printed = '';
  const keep = (chunk: unknown): boolean => {
    printed += String(chunk);
    return true;
  };
  stdout.write = keep as typeof stdout.write;
  stderr.write = keep as typeof stderr.write;
  try {
    await run();
  } finally {
    [stdout.write, stderr.write] = write;
  }
  return printed;
}

/** None of them opens a socket before it has read its whole configuration. */
export const TEXT_ENTRY_POINTS: Readonly<Record<string, EntryPoint>> = {
  createTokenPool: (text) => createTokenPool(text),
  withTokenRefresh: (text) => void withTokenRefresh(text),
  'ConnectionPool of mssql-token-pool/mssql': (text) => new ConnectionPool(text),
  'createTokenPool with text as authentication': (text) => createTokenPool({ server: 'h', authentication: text }),
  'createTokenPool with text as server': (text) => createTokenPool({ server: text, authentication: () => 'x' }),
  createCredential: (text) => createCredential(text),
  'doctor, an argument without its option': (text) => void settingsFromArgs([text], {}),
  'doctor --connection-string': (text) => void settingsFromArgs(['--connection-string', text], {}),
  'doctor, SQL_CONNECTION_STRING': (text) => void settingsFromArgs([], { SQL_CONNECTION_STRING: text }),
  'doctor --authentication': (text) => void settingsFromArgs(['--server', 'h', '--authentication', text], {}),
  'doctor --timeout': (text) => void settingsFromArgs(['--server', 'h', `--timeout=${text}`], {}),
  'doctor, an option that it lacks': (text) => void settingsFromArgs([`--${text}`], {}),
  'doctor --server': (text) => void settingsFromArgs(['--server', text], {}),
  'gateway, an argument without its option': (text) => printedBy(() => gateway(['--upstream', 'h', text])),
  'gateway, an option that it lacks': (text) => printedBy(() => gateway([`--${text}`])),
  'gateway --upstream': (text) => printedBy(() => gateway([`--upstream=${text}`])),
  'gateway --password-env': (text) =>
    printedBy(() => gateway(['--upstream', 'h', '--entra', 'http://localhost:1/', `--password-env=${text}`])),
  'gateway --login': (text) =>
    printedBy(() => gateway(['--upstream', 'h', '--entra', 'http://localhost:1/', `--login=${text}`])),
  'gateway --drain-seconds': (text) =>
    printedBy(() => gateway(['--upstream', 'h', '--entra', 'http://localhost:1/', `--drain-seconds=${text}`])),
  'entra, an argument without its option': (text) => printedBy(() => entra([text, '--no-such-option'])),
  'entra, an option that it lacks': (text) => printedBy(() => entra([`--no-such-${text}`])),
};
