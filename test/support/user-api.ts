import { createTokenPools, type TokenPools, type TokenPoolsConfig } from '../../src/index.js';
import {
  type EntraEmulator,
  type SqlEmulator,
  startEntraEmulator,
  startSqlEmulator,
  type UserAccount,
} from '../../src/testing/index.js';

export interface Api extends AsyncDisposable {
  entra: EntraEmulator;
  server: SqlEmulator;
  pools: TokenPools;
  /** The access token of a request by this user. */
  callOf(user: UserAccount, claims?: Record<string, unknown>): string;
}

/** A web API in front of both emulators. */
export async function api(config: Partial<TokenPoolsConfig> = {}): Promise<Api> {
  const entra = await startEntraEmulator();
  const server = await startSqlEmulator({ entra });
  const { authentication: _, ...reach } = server.config();
  const { tenantId, clientId, clientSecret } = entra;
  const authentication = { tenantId, clientId, clientSecret, authority: entra.url };
  const pools = createTokenPools({ ...(reach as TokenPoolsConfig), authentication, ...config });
  return {
    entra,
    server,
    pools,
    callOf: (user, claims = {}) => entra.issueToken({ principal: user, audience: `api://${entra.clientId}`, claims }),
    async [Symbol.asyncDispose]() {
      await pools.close({ timeoutMs: 0 });
      await server.close();
      await entra.close();
    },
  };
}
