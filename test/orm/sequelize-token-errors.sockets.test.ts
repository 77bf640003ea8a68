import { Sequelize } from 'sequelize';
import { expect, test } from 'vitest';
import { sequelizeOptions } from '../../src/orm/sequelize.js';
import { startEntraEmulator, startSqlEmulator } from '../../src/testing/index.js';

test("Sequelize's error for a token that is not available keeps the hint that fits", async () => {
  await using entra = await startEntraEmulator();
  await using server = await startSqlEmulator({ entra });
  entra.fail({
    status: 401,
    body: { error: 'invalid_client', error_description: 'AADSTS7000215: Invalid client secret provided.' },
  });
  const config = { ...server.config(), authentication: entra.credential() };
  const sequelize = new Sequelize({ ...sequelizeOptions(config as never), logging: false });
  const error = await sequelize.authenticate().catch((e: unknown) => e);
  await sequelize.close();
  expect(error).toMatchObject({
    name: 'SequelizeConnectionError',
    original: { code: 'ERR_CREDENTIAL_REJECTED', aadsts: 7000215, hint: expect.stringContaining('clientSecret') },
  });
});
