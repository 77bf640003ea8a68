#!/usr/bin/env node
/** The program: `npx mssql-token-pool <command>`. Each command is loaded only when it is asked for. */

type Command = (args: string[]) => Promise<number>;

const COMMANDS: Record<string, { summary: string; load: () => Promise<Command> }> = {
  demo: {
    summary: 'stock mssql beside this library while tokens expire, on embedded emulators',
    load: async () => (await import('./demo.js')).demo,
  },
  doctor: {
    summary: 'why a login fails: takes its way step by step and says what to do',
    load: async () => (await import('./doctor/doctor.js')).doctor,
  },
  gateway: {
    summary: 'Entra logins in front of a SQL Server that knows none',
    load: async () => (await import('./gateway.js')).gateway,
  },
  entra: {
    summary: 'a local stand-in for Microsoft Entra ID',
    load: async () => (await import('./entra.js')).entra,
  },
};

const [name = 'help', ...args] = process.argv.slice(2);
const command = COMMANDS[name];
if (command === undefined) {
  const width = Math.max(...Object.keys(COMMANDS).map((each) => each.length));
  const lines = Object.entries(COMMANDS).map(([each, { summary }]) => `  ${each.padEnd(width)}  ${summary}`);
  const text = ['Usage: mssql-token-pool <command> [options]', '', ...lines, ''].join('\n');
  const asked = name === 'help' || name === '--help';
  (asked ? process.stdout : process.stderr).write(text);
  process.exitCode = asked ? 0 : 2;
} else {
  const run = await command.load().catch(notInstalled);
  process.exitCode = await run(args);
}

/** `demo` compares with mssql, which its user installs. */
function notInstalled(error: Error & { code?: string }): Command {
  const [, missing] = /^Cannot find package '([^']+)'/.exec(error.message) ?? [];
  if (error.code !== 'ERR_MODULE_NOT_FOUND' || missing === undefined) throw error;
  process.stderr.write(`${name} needs the package '${missing}', which is not installed: npm install ${missing}\n`);
  return async () => 1;
}
