import { expect, test } from 'vitest';
import { site } from '../support/pool.js';

test('pool.validate may return any truthy value, as with tarn', async () => {
  await using s = await site();
  const validate = (() => 'fit') as unknown as () => boolean;
  const pool = s.pool({ pool: { validate } });
  await pool.ready();
  await pool.use(() => undefined);
  expect(s.server.logins).toHaveLength(1);
});
