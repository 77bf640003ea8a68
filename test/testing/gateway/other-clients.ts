import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** SQL Server clients other than ours and tedious. */

const run = promisify(execFile);

/** The login settings of such a client. */
export interface Target {
  port: number;
  user: string;
  password: string;
  database?: string;
  /** Certificate to trust, PEM. */
  ca: string;
}

/** FreeTDS `tsql`: returns its output for some SQL. */
export async function freeTds(
  { port, user, password, database }: Target,
  sql: string,
  version = '7.4',
): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'freetds-'));
  const config = join(folder, 'freetds.conf');
  writeFileSync(config, `[global]\ntds version = ${version}\nencryption = require\n`);
  const login = [
    '-H',
    'localhost',
    '-p',
    String(port),
    '-U',
    user,
    '-P',
    password,
    ...(database ? ['-D', database] : []),
  ];
  const child = run('tsql', login, { env: { ...process.env, FREETDSCONF: config, TDSVER: version }, timeout: 20_000 });
  child.child.stdin?.end(`${sql}\ngo\n`);
  // A refused login also sets an exit code.
  const { stdout, stderr } = await child.catch((error: { stdout: string; stderr: string }) => error);
  return stdout + stderr;
}

/** python-tds: the rows of some SQL, over TLS. */
export async function pythonTds(
  target: Target,
  sql: string,
  parameters: readonly unknown[] = [],
): Promise<unknown[][]> {
  const { port, user, password, database = 'master', ca } = target;
  const cafile = join(mkdtempSync(join(tmpdir(), 'pytds-')), 'ca.pem');
  writeFileSync(cafile, ca);
  const program = `
import json, sys, pytds
how = json.loads(sys.argv[1])
with pytds.connect(server='localhost', port=how['port'], user=how['user'], password=how['password'],
                   database=how['database'], cafile=how['cafile'], validate_host=False, autocommit=True) as connection:
    with connection.cursor() as cursor:
        cursor.execute(how['sql'], tuple(how['parameters']))
        print(json.dumps([list(row) for row in cursor.fetchall()], default=str))
`;
  const how = JSON.stringify({ port, user, password, database, cafile, sql, parameters });
  const { stdout } = await run(PYTHON, ['-c', program, how], { timeout: 20_000 });
  return JSON.parse(stdout) as unknown[][];
}

const PYTHON_ROW =
  "SELECT CAST(N'né' AS nvarchar(max)), CAST('2024-02-29' AS date), CAST(0x0102 AS varbinary(max)), SUSER_SNAME()";

/** pymssql: one row, and the number of a raised error. */
export async function pymssql(target: Target, version: string): Promise<unknown[]> {
  return onePythonRow(
    target,
    `import pymssql
connection = pymssql.connect(server='127.0.0.1', port=how['port'], user=how['user'], password=how['password'],
                             database='master', tds_version=how['version'], autocommit=True)
cursor = connection.cursor()
cursor.execute(how['sql'])
row = list(cursor.fetchone())
try:
    cursor.execute("RAISERROR('no luck', 16, 7)")
except pymssql.Error as error:
    row.append(error.args[0])
`,
    version,
  );
}

/** ODBC: FreeTDS' driver through unixODBC and pyodbc; one row, and the number of a raised error. */
export async function odbc(target: Target, version: string): Promise<unknown[]> {
  return onePythonRow(
    target,
    `import pyodbc, re
connection = pyodbc.connect('DRIVER=${ODBC_DRIVER};SERVER=127.0.0.1;Encryption=require;DATABASE=master;'
                            'PORT=%d;UID=%s;PWD=%s;TDS_Version=%s' % (how['port'], how['user'], how['password'], how['version']))
cursor = connection.cursor()
cursor.execute(how['sql'] + ' WHERE ? = 1', 1)
row = list(cursor.fetchone())
try:
    cursor.execute("RAISERROR('no luck', 16, 7)")
except pyodbc.Error as error:
    row.append(int(re.search(r'no luck \\((\\d+)\\)', error.args[1]).group(1)))
`,
    version,
  );
}

async function onePythonRow({ port, user, password }: Target, program: string, version: string): Promise<unknown[]> {
  const how = JSON.stringify({ port, user, password, version, sql: PYTHON_ROW });
  const print = 'print(json.dumps(row, default=lambda value: value.hex() if isinstance(value, bytes) else str(value)))';
  const code = `import json, sys\nhow = json.loads(sys.argv[1])\n${program}${print}`;
  const { stdout } = await run(PYTHON, ['-c', code, how], { timeout: 20_000 });
  return JSON.parse(stdout) as unknown[];
}

/** JDBC: jTDS, over TLS; what it prints for each server, from one virtual machine. */
export async function jtds(targets: readonly Target[]): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'jtds-'));
  const program = join(folder, 'Client.java');
  writeFileSync(program, JAVA_CLIENT);
  const urls = targets.map(({ port }) => `jdbc:jtds:sqlserver://127.0.0.1:${port}/master;ssl=require`);
  const [{ user, password }] = targets as [Target];
  const { stdout } = await run('java', ['-cp', JTDS, program, user, password, ...urls], { timeout: 60_000 });
  return stdout.trim().split('\n');
}

/** go-mssqldb: the first value of some SQL, by a token or, without one, by a SQL login. */
export async function goMssqldb(binary: string, target: Target & { token?: string }, sql: string): Promise<string> {
  const { port, user, password, database = 'master', token = '' } = target;
  const login = token === '' ? `user id=${user};password=${password};` : '';
  const dsn = `server=localhost;port=${port};database=${database};${login}encrypt=true;TrustServerCertificate=true`;
  const { stdout } = await run(binary, [dsn, sql], { env: { ...process.env, TOKEN: token }, timeout: 30_000 });
  return stdout.trim();
}

/** A small program with Microsoft's go-mssqldb, or why it cannot be built here. */
export function buildGoClient(): { binary: string } | { missing: string } {
  if (!has('go')) return { missing: 'there is no go here: apt-get install golang-go' };
  const folder = mkdtempSync(join(tmpdir(), 'go-client-'));
  writeFileSync(
    join(folder, 'go.mod'),
    'module example.org/client\n\ngo 1.19\n\nrequire github.com/microsoft/go-mssqldb v1.1.0\n',
  );
  writeFileSync(join(folder, 'main.go'), GO_CLIENT);
  try {
    for (const args of [
      ['mod', 'tidy'],
      ['build', '-o', 'client', '.'],
    ]) {
      execFileSync('go', args, { cwd: folder, timeout: 300_000, stdio: 'pipe' });
    }
    return { binary: join(folder, 'client') };
  } catch (error) {
    const said = String((error as { stderr?: Buffer }).stderr ?? error).trim();
    return { missing: `go-mssqldb is not available here: ${said.split('\n').at(-1)}` };
  }
}

/** Debian's go-mssqldb, of 2017: SQL logins only. */
export function buildDebianGoClient(): { binary: string } | { missing: string } {
  const source = '/usr/share/gocode/src/github.com/denisenkom/go-mssqldb';
  if (!has('go')) return { missing: 'there is no go here: apt-get install golang-go' };
  if (!existsSync(source)) {
    return { missing: 'there is no go-mssqldb here: apt-get install golang-github-denisenkom-go-mssqldb-dev' };
  }
  const folder = mkdtempSync(join(tmpdir(), 'go-client-'));
  const binary = join(folder, 'client');
  writeFileSync(join(folder, 'main.go'), DEBIAN_GO_CLIENT);
  const env = { ...process.env, GO111MODULE: 'off', GOPATH: '/usr/share/gocode', GOFLAGS: '' };
  execFileSync('go', ['build', '-o', binary, 'main.go'], { cwd: folder, env, timeout: 300_000, stdio: 'pipe' });
  return { binary };
}

const PYTHON = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3';

export function has(program: string, args: readonly string[] = ['version']): boolean {
  try {
    execFileSync(program, args, { stdio: 'ignore', timeout: 20_000 });
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ENOENT' && (error as { status?: number }).status !== 1;
  }
}

const ODBC_DRIVER = '/usr/lib/x86_64-linux-gnu/odbc/libtdsodbc.so';
const JTDS = '/usr/share/java/jtds.jar';

export const hasPymssql = has(PYTHON, ['-c', 'import pymssql']);
export const hasOdbc = existsSync(ODBC_DRIVER) && has(PYTHON, ['-c', 'import pyodbc']);
export const hasJtds = existsSync(JTDS) && has('java', ['-version']);
export const hasFreeTds = has('tsql', ['-C']);
export const hasPythonTds = has(PYTHON, ['-c', 'import pytds']);

const QUERY = `
	var value string
	if err := db.QueryRow(os.Args[2]).Scan(&value); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(value)
`;

const GO_CLIENT = `package main

import (
	"database/sql"
	"fmt"
	"os"

	mssql "github.com/microsoft/go-mssqldb"
)

func main() {
	var db *sql.DB
	if token := os.Getenv("TOKEN"); token != "" {
		connector, err := mssql.NewAccessTokenConnector(os.Args[1], func() (string, error) { return token, nil })
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		db = sql.OpenDB(connector)
	} else {
		db, _ = sql.Open("sqlserver", os.Args[1])
	}
${QUERY}}
`;

const DEBIAN_GO_CLIENT = `package main

import (
	"database/sql"
	"fmt"
	"os"

	_ "github.com/denisenkom/go-mssqldb"
)

func main() {
	db, _ := sql.Open("mssql", os.Args[1])
${QUERY}}
`;

const JAVA_CLIENT = `
import java.sql.*;

public class Client {
  public static void main(String[] args) throws Exception {
    Class.forName("net.sourceforge.jtds.jdbc.Driver");
    for (int i = 2; i < args.length; i++) {
      try (Connection connection = DriverManager.getConnection(args[i], args[0], args[1])) {
        String sql = "SELECT ? + 1, SUSER_SNAME(), CAST(N'né' AS nvarchar(max)), CAST('2024-02-29' AS date)";
        StringBuilder line = new StringBuilder();
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
          statement.setInt(1, 41);
          try (ResultSet row = statement.executeQuery()) {
            row.next();
            for (int column = 1; column <= 4; column++) line.append(row.getString(column)).append(' ');
          }
        }
        try (Statement statement = connection.createStatement()) {
          statement.execute("RAISERROR('no luck', 16, 7)");
        } catch (SQLException error) {
          line.append(error.getErrorCode());
        }
        System.out.println(line);
      }
    }
  }
}
`;
