import { beforeAll, describe, expect, test } from 'vitest';
import {
  type SqlEmulator,
  type SqlGateway,
  startEntraEmulator,
  startSqlEmulator,
  type TdsServer,
} from '../../../src/testing/index.js';
import { closing } from '../sql-clients.js';
import {
  buildDebianGoClient,
  buildGoClient,
  freeTds,
  goMssqldb,
  hasFreeTds,
  hasJtds,
  hasOdbc,
  hasPymssql,
  hasPythonTds,
  jtds,
  odbc,
  pymssql,
  pythonTds,
  type Target,
} from './other-clients.js';

const PASSWORD = 'Secret-1';
const BOTH = ['emulator', 'gateway'] as const;

/** The emulator itself, and a gateway in front of it. */
async function servers(): Promise<{ emulator: SqlEmulator; gateway: SqlGateway; token: string }> {
  const entra = closing(await startEntraEmulator());
  const emulator = closing(await startSqlEmulator({ entra, users: { sa: PASSWORD }, encrypt: 'required' }));
  const options = { cryptoCredentialsDetails: { ca: emulator.ca } };
  const upstream = { server: 'localhost', port: emulator.port, user: 'sa', password: PASSWORD, options };
  const gateway = closing(await startSqlEmulator({ entra, upstream, encrypt: 'required' }));
  return { emulator, gateway, token: entra.issueToken() };
}

function target({ port, ca }: TdsServer): Target {
  return { port, ca, user: 'sa', password: PASSWORD };
}

/** Prints the reason for a skip prominently. */
function sayMissing(reason: string): string {
  console.warn(`SKIPPED: ${reason}`);
  return reason;
}

describe.skipIf(!hasFreeTds && sayMissing('no FreeTDS here: apt-get install freetds-bin'))('FreeTDS tsql', () => {
  test.each(['emulator', 'gateway'] as const)('talks to the %s', async (which) => {
    const server = (await servers())[which];
    const printed = await freeTds(
      target(server),
      "SELECT value, N'né' AS text FROM GENERATE_SERIES(41, 42)\ngo\nRAISERROR('no luck', 16, 7)",
    );
    expect(printed).toContain('41\tné\n42\tné');
    expect(printed).toMatch(/Msg 50000 \(severity 16, state 7\)[\s\S]*no luck/);
    expect(server.logins[0]).toMatchObject({ library: 'TDS-Library', accepted: true, encrypted: true });
    expect(server.protocolErrors).toEqual([]);
  });
});

describe.skipIf(!hasPythonTds && sayMissing('no python-tds here: apt-get install python3-tds'))('python-tds', () => {
  test.each(['emulator', 'gateway'] as const)('talks to the %s', async (which) => {
    const server = (await servers())[which];
    const rows = await pythonTds(target(server), "SELECT %s + 1, N'né', CAST('2024-02-29' AS date), NULL", [41]);
    expect(rows).toEqual([[42, 'né', '2024-02-29', null]]);
    expect(server.logins[0]).toMatchObject({ library: 'Python TDS Library', accepted: true, encrypted: true });
    expect(server.protocolErrors).toEqual([]);
  });
});

describe.skipIf(!hasPymssql && sayMissing('no pymssql here: apt-get install python3-pymssql'))('pymssql', () => {
  test.each(BOTH.flatMap((which) => ['7.1', '7.3'].map((version) => [which, version] as const)))(
    'talks to the %s with TDS %s',
    async (which, version) => {
      const server = (await servers())[which];
      expect(await pymssql(target(server), version)).toEqual(['né', '2024-02-29', '0102', 'sa', 50000]);
      expect(server.logins[0]).toMatchObject({ library: 'DB-Library', accepted: true, encrypted: true });
      expect(server.protocolErrors).toEqual([]);
    },
  );
});

describe.skipIf(!hasOdbc && sayMissing('no ODBC here: apt-get install python3-pyodbc tdsodbc unixodbc'))('ODBC', () => {
  test.each(BOTH.flatMap((which) => ['7.1', '7.4'].map((version) => [which, version] as const)))(
    'talks to the %s with TDS %s',
    async (which, version) => {
      const server = (await servers())[which];
      expect(await odbc(target(server), version)).toEqual(['né', '2024-02-29', '0102', 'sa', 50000]);
      expect(server.logins[0]).toMatchObject({ accepted: true, encrypted: true });
      expect(server.protocolErrors).toEqual([]);
    },
  );
});

describe.skipIf(!hasJtds && sayMissing('no jTDS here: apt-get install libjtds-java openjdk-17-jdk-headless'))(
  'JDBC (jTDS)',
  () => {
    test('talks to the emulator and the gateway, over TLS', { timeout: 120_000 }, async () => {
      const { emulator, gateway } = await servers();
      const expected = '42 sa né 2024-02-29 50000';
      expect(await jtds([target(emulator), target(gateway)])).toEqual([expected, expected]);
      for (const server of [emulator, gateway]) {
        expect(server.logins[0]).toMatchObject({ library: 'jTDS', accepted: true, encrypted: true });
        expect(server.protocolErrors).toEqual([]);
      }
    });
  },
);

describe("Debian's go-mssqldb", () => {
  let built: ReturnType<typeof buildDebianGoClient>;
  beforeAll(() => {
    built = buildDebianGoClient();
  }, 300_000);

  test.for(['emulator', 'gateway'] as const)('talks to the %s with a SQL login', async (which, { skip }) => {
    if ('missing' in built) return skip(sayMissing(built.missing));
    const server = (await servers())[which];
    expect(await goMssqldb(built.binary, target(server), 'SELECT SUSER_SNAME()')).toBe('sa');
    expect(server.logins[0]).toMatchObject({ accepted: true, encrypted: true });
  });
});

describe("Microsoft's go-mssqldb", () => {
  let built: ReturnType<typeof buildGoClient>;
  beforeAll(() => {
    built = buildGoClient();
  }, 300_000);

  test.for(['emulator', 'gateway'] as const)('talks to the %s with a token', async (which, { skip }) => {
    if ('missing' in built) return skip(sayMissing(built.missing));
    const { token, ...rest } = await servers();
    const server = rest[which];
    expect(await goMssqldb(built.binary, { ...target(server), token }, 'SELECT 40 + 2')).toBe('42');
    expect(server.logins[0]).toMatchObject({ authentication: 'security-token', accepted: true, encrypted: true });
  });
});
