import { expect, test } from 'vitest';
import { scopeForServer } from '../../../src/index.js';

test.each([
  ['shop.database.windows.net', 'https://database.windows.net/.default'],
  ['tcp:SHOP.Database.Windows.NET,1433', 'https://database.windows.net/.default'],
  ['shop.public.abc123.database.windows.net', 'https://database.windows.net/.default'],
  ['shop-ondemand.sql.azuresynapse.net', 'https://database.windows.net/.default'],
  ['x1y2.datawarehouse.fabric.microsoft.com', 'https://database.windows.net/.default'],
  ['x1y2.database.fabric.microsoft.com', 'https://database.windows.net/.default'],
  ['shop.database.usgovcloudapi.net', 'https://database.usgovcloudapi.net/.default'],
  ['shop.sql.azuresynapse.usgovcloudapi.net', 'https://database.usgovcloudapi.net/.default'],
  ['shop.database.chinacloudapi.cn.', 'https://database.chinacloudapi.cn/.default'],
  ['shop.sql.azuresynapse.azure.cn', 'https://database.chinacloudapi.cn/.default'],
  ['sql.internal.example\\SQLEXPRESS', 'https://database.windows.net/.default'],
  ['localhost', 'https://database.windows.net/.default'],
  ['', 'https://database.windows.net/.default'],
])('%s', (server, scope) => {
  expect(scopeForServer(server)).toBe(scope);
});
