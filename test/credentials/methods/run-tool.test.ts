import { describe, expect, test } from 'vitest';
import { commandLine } from '../../../src/credentials/methods/run-tool.js';

const az = { command: 'az', name: 'Azure CLI', batchFileOnWindows: true, environment: { SystemRoot: 'C:\\Windows' } };
const pwsh = { ...az, command: 'pwsh', name: 'Azure PowerShell', batchFileOnWindows: false };

describe('on Windows', () => {
  test('each argument of a batch file stays one argument', () => {
    const args = ['--subscription', 'My subscription --debug', '--tenant', 'contoso.example'];
    const { file, args: line, options } = commandLine({ ...az, args }, 'win32');
    expect(file).toBe('C:\\Windows\\System32\\cmd.exe');
    expect(line).toEqual([
      '/d',
      '/s',
      '/c',
      '"az "--subscription" "My subscription --debug" "--tenant" "contoso.example""',
    ]);
    expect(options).toMatchObject({ windowsVerbatimArguments: true, cwd: 'C:\\Windows' });
  });

  test.each(['a" & calc & "', '%PATH%', 'a!b', 'a^b', 'a|b', 'a<b', 'a>b', 'a\r\nb', 'a\\'])(
    'an argument that cmd.exe would change is rejected: %j',
    (argument) => {
      expect(() => commandLine({ ...az, args: [argument] }, 'win32')).toThrow(/Windows cannot pass on/);
    },
  );

  test('a program runs without a shell', () => {
    const args = ['-EncodedCommand', 'AA=='];
    expect(commandLine({ ...pwsh, args }, 'win32')).toEqual({ file: 'pwsh', args, options: { cwd: 'C:\\Windows' } });
  });
});

test.each(['linux', 'darwin'] as const)('on %s nothing runs through a shell', (platform) => {
  const args = ['--subscription', 'a b; $(id)'];
  expect(commandLine({ ...az, args }, platform)).toEqual({ file: 'az', args, options: { cwd: '/' } });
});
