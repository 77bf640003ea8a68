import { Connection, type ConnectionConfiguration, Request } from 'tedious';

/** A feature that an ORM needs and not every server has, with a way to detect it. */
export interface Ability {
  /** The end of the sentence "this server ...". */
  lacking: string;
  present(connection: Connection): Promise<boolean>;
}

/** knex reads the count of changed rows from a column without a name; its migrations take their lock by it. */
export const NAMELESS_ROW_COUNT: Ability = {
  lacking: 'gives the column of SELECT @@ROWCOUNT a name, so that knex finds no count of changed rows',
  async present(connection) {
    const names: string[] = [];
    await done((callback) => {
      const request = new Request('SELECT @@ROWCOUNT', callback);
      request.on('columnMetadata', (columns) => {
        for (const { colName } of columns as { colName: string }[]) names.push(colName);
      });
      connection.execSqlBatch(request);
    });
    return names[0] === '';
  },
};

/** Sequelize names transactions by random hexadecimal digits, and savepoints by those and `-sp-1`. */
export const ANY_TRANSACTION_NAME: Ability = {
  lacking: 'refuses names of transactions and savepoints that are no identifiers, as those of Sequelize',
  async present(connection) {
    const name = '7a193a77ef4956d5af31';
    await done((callback) => connection.beginTransaction(callback, name));
    await done((callback) => connection.saveTransaction(callback, `${name}-sp-1`));
    await done((callback) => connection.rollbackTransaction(callback, name));
    return true;
  },
};

/** MikroORM 6 looks at the tables there are before it makes its own. */
export const REFERENTIAL_CONSTRAINTS: Ability = {
  lacking: 'has no INFORMATION_SCHEMA.REFERENTIAL_CONSTRAINTS, which the schema generator reads',
  async present(connection) {
    await run(connection, 'SELECT COUNT(*) FROM INFORMATION_SCHEMA.REFERENTIAL_CONSTRAINTS');
    return true;
  },
};

/** `sync()` of Sequelize 6 asks for the indexes of each table. */
export const SP_HELPINDEX: Ability = {
  lacking: 'has no sp_helpindex, which sync() calls',
  async present(connection) {
    const table = `sp_helpindex_${process.pid}`;
    await run(connection, `CREATE TABLE ${table} (id INT PRIMARY KEY)`);
    try {
      await run(connection, `EXEC sp_helpindex @objname = N'${table}'`);
      return true;
    } finally {
      await run(connection, `DROP TABLE ${table}`);
    }
  },
};

/** Tests the server over a plain tedious connection. A statement that fails means that the feature is missing. */
export async function has(ability: Ability, configuration: ConnectionConfiguration): Promise<boolean> {
  const connection = new Connection(configuration);
  connection.on('error', () => undefined);
  await done((callback) => connection.connect(callback));
  try {
    return await ability.present(connection);
  } catch {
    return false;
  } finally {
    connection.close();
  }
}

function run(connection: Connection, sql: string): Promise<void> {
  return done((callback) => connection.execSqlBatch(new Request(sql, callback)));
}

function done(act: (callback: (error?: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => act((error) => (error ? reject(error) : resolve())));
}
