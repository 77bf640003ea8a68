import { parseArgs } from 'node:util';
import { type FaultControl, startEntraEmulator } from '../testing/index.js';
import { fromEnvironment, parseListen, parseSeconds, UsageError } from './address.js';
import { command } from './command.js';
import { startFaults } from './faults.js';
import { unknownArgument } from './unknown-argument.js';
import { log, untilStopped } from './until-stopped.js';

const USAGE = `Usage: mssql-token-pool entra [options]

A local stand-in for Microsoft Entra ID, with real HTTP and properly signed tokens of any lifetime. For tests only.

  --listen [ADDRESS:]PORT      default 127.0.0.1:8080
  --url URL                    the address for clients, if it differs from the one to listen on
  --tenant-id ID               default: a random one
  --client-id ID               default: a random one
  --client-secret-env VARIABLE environment variable with the secret of the application; default: a random one, shown
  --lifetime SECONDS           lifetime of access tokens; default 3600
  --faults PORT                accepts faults over HTTP on 127.0.0.1:PORT (POST /_faults); default: off
  --refresh-in SECONDS         refresh_in of the answers; default: none
`;

/** `mssql-token-pool entra`: the Entra emulator as a program. */
export const entra = command(USAGE, run);

const OPTIONS = {
  listen: { type: 'string', default: '127.0.0.1:8080' },
  url: { type: 'string' },
  'tenant-id': { type: 'string' },
  'client-id': { type: 'string' },
  'client-secret-env': { type: 'string' },
  lifetime: { type: 'string' },
  'refresh-in': { type: 'string' },
  faults: { type: 'string' },
} as const;

async function run(args: string[]): Promise<number> {
  const unknown = unknownArgument(args, OPTIONS);
  if (unknown !== undefined) throw new UsageError(unknown);
  const { values } = parseArgs({ args, options: OPTIONS });
  const secretEnv = values['client-secret-env'];
  const clientSecret = secretEnv === undefined ? undefined : fromEnvironment('--client-secret-env', secretEnv);
  const tenant = values['tenant-id'];
  if (tenant !== undefined && !/^[\w.-]{1,200}$/.test(tenant)) {
    throw new UsageError('--tenant-id: give an id or a domain name');
  }
  const emulator = await startEntraEmulator({
    ...parseListen(values.listen),
    url: values.url,
    tenantId: values['tenant-id'],
    tokenLifetimeSeconds: seconds('--lifetime', values.lifetime),
    refreshInSeconds: seconds('--refresh-in', values['refresh-in']),
    app: {
      ...(values['client-id'] !== undefined && { clientId: values['client-id'] }),
      ...(clientSecret !== undefined && { clientSecret }),
    },
  });
  let faults: FaultControl | undefined;
  try {
    faults = await startFaults(values.faults, { entra: emulator });
  } catch (error) {
    await emulator.close();
    throw error;
  }
  // Listens before it is ready: whatever waits for that line may send a signal at once.
  const stopped = untilStopped();
  log('ready', {
    url: emulator.url,
    tenant: emulator.tenantId,
    client: emulator.clientId,
    faults: faults?.url,
    // A generated secret is shown, because it is stored nowhere else; a secret from the environment is not repeated.
    secret: clientSecret === undefined ? emulator.clientSecret : undefined,
  });
  const signal = await stopped;
  log('stopping', { signal, requests: emulator.requests.length });
  await faults?.close();
  await emulator.close();
  log('stopped');
  return 0;
}

function seconds(option: string, text: string | undefined): number | undefined {
  return text === undefined ? undefined : parseSeconds(option, text, 'more');
}
