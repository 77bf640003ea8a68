// The error for an mssql version that is too old, through both entry points.
import { createRequire } from 'node:module';
import { withTokenRefresh } from 'mssql-token-pool';
import { config } from './cross.cjs';

const messages = [];
try {
  withTokenRefresh(config);
} catch (error) {
  messages.push(error.message);
}
try {
  createRequire(import.meta.url)('mssql-token-pool/mssql');
} catch (error) {
  messages.push(error.message);
}
for (const message of messages) console.log(message);
process.exitCode = messages.length === 2 && messages.every((each) => /needs mssql 11 or later/.test(each)) ? 0 : 1;
