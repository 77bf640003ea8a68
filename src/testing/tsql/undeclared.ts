import { SqlServerError } from '../tds/server-error.js';

/** Error 137: a variable that no DECLARE and no parameter names. */
export function undeclared(name: string, lineNumber?: number): SqlServerError {
  const message = `Must declare the scalar variable "${name}".`;
  return new SqlServerError({ number: 137, class: 15, state: 2, message, lineNumber });
}
