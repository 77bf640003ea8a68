import { expect, test } from 'vitest';
import {
  buildDebianGoClient,
  freeTds,
  goMssqldb,
  hasFreeTds,
  hasPythonTds,
  pythonTds,
} from '../testing/gateway/other-clients.js';
import { type Site, serverUnderTest, skip, useSite } from './server-under-test.js';

const site = useSite({ encrypt: 'required' });
const SUM = 'SELECT 40 + 2';

function target({ gateway, database }: Site) {
  const { user, password } = serverUnderTest();
  return { port: gateway.port, ca: gateway.ca, user, password, database };
}

test('FreeTDS tsql works through the gateway', async (context) => {
  if (!hasFreeTds) skip(context, 'no FreeTDS here: apt-get install freetds-bin');
  expect(await freeTds(target(site), SUM)).toMatch(/^42$/m);
});

test('python-tds works through the gateway', async (context) => {
  if (!hasPythonTds) skip(context, 'no python-tds here: apt-get install python3-tds');
  expect(await pythonTds(target(site), 'SELECT %s + 2', [40])).toEqual([[42]]);
});

test("Debian's go-mssqldb works through the gateway", async (context) => {
  const built = buildDebianGoClient();
  if ('missing' in built) skip(context, built.missing);
  expect(await goMssqldb(built.binary, target(site), SUM)).toBe('42');
});
