import type { EntraEmulator } from '../../src/testing/index.js';

export interface KeyVault {
  url: string;
  requests: readonly { path: string; status: number }[];
  /** Adds a version of a secret. `createdOn` is in epoch ms. */
  setSecret(name: string, value: string, createdOn?: number): void;
  /** Makes all versions of a secret older, by ms. */
  age(name: string, ms: number): void;
  /** Removes the oldest version. */
  dropOldest(name: string): void;
  close(): Promise<void>;
}

export function startKeyVault(options: {
  entra: Pick<EntraEmulator, 'url' | 'tenantId' | 'verify'>;
  cert: string;
  key: string;
}): Promise<KeyVault>;
