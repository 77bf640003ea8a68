import type { TokenCredential } from '../credentials/credential.js';
import { ConfigurationError } from '../errors.js';
import type { EncryptedTokenStore } from './encrypted-token-store.js';

/** @throws ConfigurationError for a store that does not encrypt, and for a credential that it cannot name */
export function requireTokenStore(store: EncryptedTokenStore, credential: TokenCredential): void {
  if (typeof store?.obtain !== 'function' || typeof store.keyOf !== 'function') {
    throw new ConfigurationError("'tokenStore' must be made by redisTokenStore() or encryptedTokenStore().", {
      hint: 'Tokens go into a store encrypted or not at all: encryptedTokenStore(yourStore, { keys }).',
    });
  }
  if (store.keyOf(credential) === undefined) {
    throw new ConfigurationError('Other processes cannot determine whose tokens this credential gets.', {
      hint: "Name its identity: tokenStore: store.named('orders-api'), one name for one principal.",
    });
  }
}
