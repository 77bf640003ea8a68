import type { Redis } from 'ioredis';
import type { EntraEmulator } from '../../src/testing/index.js';

export interface AzureRedis {
  port: number;
  /** Every login, oldest first. */
  logins: readonly { user: string; accepted: boolean; flaw: string | undefined }[];
  /** A connection to the real Redis behind it. */
  admin: Redis;
  close(): Promise<void>;
}

export function startAzureRedis(options: {
  entra: Pick<EntraEmulator, 'verify'>;
  /** The real Redis, and its password. */
  port: number;
  password: string;
  cert: string;
  key: string;
}): Promise<AzureRedis>;
