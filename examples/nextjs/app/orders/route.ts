import { pool } from '../../pool';

export const dynamic = 'force-dynamic';

export async function GET(): Promise<Response> {
  const { recordset } = await (await pool()).query`SELECT id, item FROM orders`;
  return Response.json(recordset);
}
