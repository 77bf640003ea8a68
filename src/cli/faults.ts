import { type FaultControl, type FaultControlOptions, startFaultControl } from '../testing/index.js';
import { parsePort } from './address.js';

/** The fault control that `--faults PORT` asks for. @throws an error that names the option if the port is taken */
export async function startFaults(
  port: string | undefined,
  targets: FaultControlOptions,
): Promise<FaultControl | undefined> {
  if (port === undefined) return undefined;
  try {
    return await startFaultControl({ ...targets, port: parsePort('--faults', port) });
  } catch (error) {
    throw Object.assign(error as Error, { option: '--faults' });
  }
}
