import { setTimeout as sleep } from 'node:timers/promises';
import { withEmulators } from '../with-emulators.mjs';

/** Answers the one query of these examples. A real server does not need this. */
const onQuery = (sql) => (/orders/.test(sql) ? [{ id: 1, item: 'coffee' }] : undefined);

/**
 * Opens an ORM with `open(config)` and reads orders through it while three tokens expire. `open` returns a function that
 * reads the orders and one that closes the ORM.
 */
export async function crossingExpiries(open) {
  const { config, report, stop } = await withEmulators({ tokenLifetimeSeconds: 2, onQuery });
  const { orders, close } = await open(config);
  const end = Date.now() + Number(process.env.EXAMPLE_MS ?? 6_000);
  let queries = 0;
  while (Date.now() < end) {
    await Promise.all([orders(), orders(), orders()]);
    queries += 3;
    await sleep(20);
  }
  await close();
  console.log(`${queries} queries`);
  process.exitCode = report() === 0 ? 0 : 1;
  await stop();
}
