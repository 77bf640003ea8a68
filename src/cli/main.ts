#!/usr/bin/env node
/** The program: `npx mssql-token-pool <command>`. Each command is loaded when it runs. */
import { readFileSync } from 'node:fs';
import { didYouMean } from '../credentials/input/did-you-mean.js';
import { inWords } from './in-words.js';
import { endWithOutput } from './output.js';

type Command = (args: string[]) => Promise<number>;

const COMMANDS: Record<string, { summary: string; load: () => Promise<Command> }> = {
  demo: {
    summary: 'compares stock mssql with this library while tokens expire, on embedded emulators',
    load: async () => (await import('./demo-on-mssql.js')).demoOnMssql,
  },
  doctor: {
    summary: 'diagnoses a failing login step by step',
    load: async () => (await import('./doctor/doctor.js')).doctor,
  },
  gateway: {
    summary: 'adds Entra logins to a SQL Server that has none',
    load: async () => (await import('./gateway.js')).gateway,
  },
  entra: {
    summary: 'a local stand-in for Microsoft Entra ID',
    load: async () => (await import('./entra.js')).entra,
  },
};

const WRONG_USAGE = 2;

endWithOutput();
main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error) => {
    process.stderr.write(`${inWords(error)}\n`);
    process.exitCode = 1;
  },
);

async function main([name = 'help', ...args]: string[]): Promise<number> {
  if (name === '--version' || name === '-v') {
    process.stdout.write(`${version()}\n`);
    return 0;
  }
  if (name === 'help' || name === '--help' || name === '-h') {
    const [topic] = args;
    if (topic === undefined || !Object.hasOwn(COMMANDS, topic)) {
      process.stdout.write(usage());
      return 0;
    }
    return main([topic, '--help']);
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) {
    process.stderr.write(`unknown command '${name}'.${didYouMean(name, Object.keys(COMMANDS))}\n\n${usage()}`);
    return WRONG_USAGE;
  }
  const run = await command.load();
  return run(args.includes('-h') ? ['--help'] : args);
}

function usage(): string {
  const width = Math.max(...Object.keys(COMMANDS).map((each) => each.length));
  const commands = Object.entries(COMMANDS).map(([each, { summary }]) => `  ${each.padEnd(width)}  ${summary}`);
  return [
    'Usage: mssql-token-pool <command> [options]',
    '',
    ...commands,
    '',
    'mssql-token-pool <command> --help   lists the options of a command',
    'mssql-token-pool --version          prints the version',
    '',
  ].join('\n');
}

function version(): string {
  const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}
