import { ConfigurationError } from '../../errors.js';
import { examine } from './examine.js';
import { Printer } from './print.js';
import { settingsFromArgs, USAGE } from './settings-from-args.js';

const WRONG_USAGE = 2;

/** `mssql-token-pool doctor`. @returns the exit code */
export async function doctor(args: string[]): Promise<number> {
  const out = (text: string): void => void process.stdout.write(text);
  let asked: ReturnType<typeof settingsFromArgs>;
  try {
    asked = settingsFromArgs(args, process.env);
  } catch (error) {
    const { message, hint } = error as ConfigurationError;
    process.stderr.write(`${message}${error instanceof ConfigurationError && hint ? `\n${hint}` : ''}\n`);
    return WRONG_USAGE;
  }
  if (asked === 'help') {
    out(USAGE);
    return 0;
  }
  const { settings, timeoutMs, json, findings } = asked;
  const printer = new Printer(out, process.stdout.isTTY === true && !process.env.NO_COLOR);
  const examination = await examine(settings, {
    timeoutMs,
    findings,
    onStep: (report) => json || printer.step(report),
  });
  if (json) out(`${JSON.stringify(examination, undefined, 2)}\n`);
  else printer.summary(examination);
  return examination.exitCode;
}
