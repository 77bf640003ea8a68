import { expect, test } from 'vitest';
import { startEntraEmulator, startFaultControl, startSqlEmulator, startSqlGateway } from '../../src/testing/index.js';

test.each([
  [startEntraEmulator, { tokenLifetimeSecond: 3 }, 'tokenLifetimeSecond', 'tokenLifetimeSeconds'],
  [startSqlEmulator, { enforceExpirey: 'query' }, 'enforceExpirey', 'enforceExpiry'],
  [startSqlEmulator, { upstream: { server: 'h' }, enforceExpirey: 'query' }, 'enforceExpirey', 'onUpstreamError'],
  [startSqlGateway, { upstream: { server: 'h' }, audiences: 'x' }, 'audiences', 'audience'],
  [startFaultControl, { sever: {} }, 'sever', 'server'],
])('%o refuses the misspelt option in %j', async (start, options, name, known) => {
  const error = await (start as (options: object) => Promise<unknown>)(options).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(TypeError);
  expect((error as Error).message).toContain(`has no option '${name}'. Its options are `);
  expect((error as Error).message).toContain(known);
});
