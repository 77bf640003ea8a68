import { vi } from 'vitest';

const DECIDES_ON_TOKENS = /^(AZURE_|IDENTITY_|MSI_|IMDS_|ACTIONS_|AWS_|GCE_|AzureServices)/;

/** Hides every variable that a credential might find on a developer's machine, until `vi.unstubAllEnvs()`. */
export function clearEnvironment(): void {
  for (const name of Object.keys(process.env)) {
    if (DECIDES_ON_TOKENS.test(name)) vi.stubEnv(name, undefined);
  }
}
