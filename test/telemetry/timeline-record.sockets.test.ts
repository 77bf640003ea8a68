import { expect, test } from 'vitest';
import { recordTimeline, timelineOfLogins } from '../../src/telemetry/timeline.js';
import { site } from '../support/pool.js';

test('records only what happened to one pool', async () => {
  await using here = await site();
  const authentication = here.entra.credential();
  const pool = here.pool({ authentication });
  const other = here.pool({ authentication });
  using recorder = recordTimeline(pool, { title: 'ours' });
  await other.use(() => {});
  await pool.use(() => {});
  here.server.failLogins({ number: 4060, state: 1, class: 11, message: 'Cannot open database "x".', count: 1 });
  const first = await pool.acquire();
  await pool.acquire().catch((error: Error) => recorder.failure(error));
  pool.destroy(first);
  const { title, from, to, events } = recorder.stop();
  expect(title).toBe('ours');
  expect(events.filter(({ kind }) => kind !== 'wait').map(({ kind }) => kind)).toEqual([
    'token',
    'opened',
    'login-refused',
    'failure',
    'closed',
  ]);
  expect(events.every(({ at }) => at >= from && at <= to)).toBe(true);
  expect(events.find(({ kind }) => kind === 'closed')).toMatchObject({ reason: 'destroyed-by-caller' });
  expect(JSON.stringify(events)).not.toContain('eyJ');
});

test('records nothing after stop()', async () => {
  await using here = await site();
  const pool = here.pool();
  const recorder = recordTimeline(pool);
  recorder.stop();
  await pool.use(() => {});
  expect(recorder.timeline.events).toEqual([]);
});

test('builds a timeline from the logins that the SQL emulator recorded, for a pool without events', async () => {
  await using here = await site();
  const from = Date.now();
  const pool = here.pool();
  await pool.use(() => {});
  here.server.failLogins({ drop: true, count: 1 });
  const held = await pool.acquire();
  await pool.acquire().catch(() => {});
  pool.release(held);
  await pool.close();
  await expect.poll(() => here.server.logins.every((login) => login.closed !== undefined)).toBe(true);
  const { events } = timelineOfLogins(here.server.logins, { title: 'stock', from });
  expect(events.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['opened', 'login-lost', 'closed']));
  expect(events.find(({ kind }) => kind === 'opened')).toMatchObject({ tokenExpiresOn: expect.any(Number) });
});
