import { expect, test, vi } from 'vitest';
import { drivenWorld, pass, releaseAll } from '../support/driven-world.js';

const world = drivenWorld();

test('many logins at once are no reason for Node.js to warn about a leak of listeners', async () => {
  const warn = vi.spyOn(process, 'emitWarning').mockReturnValue();
  const pool = world.aPool({ max: 30 });
  releaseAll(pool, await world.borrow(pool, 30));
  pool.evictAll();
  await pass(1);
  releaseAll(pool, await world.borrow(pool, 30));
  expect(warn).not.toHaveBeenCalled();
});
