declare module 'knex-3.2/lib/dialects/mssql/index.js' {
  import { Knex } from 'knex';

  export default class MssqlClient extends Knex.Client {}
}
