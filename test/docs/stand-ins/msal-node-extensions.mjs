// `@azure/msal-node-extensions` without a key ring: keeps the text in memory, and reads and writes MSAL's cache as the
// package's plugin does.
import assert from 'node:assert/strict';

export const DataProtectionScope = { CurrentUser: 'CurrentUser', LocalMachine: 'LocalMachine' };

export const PersistenceCreator = {
  async createPersistence({ cachePath, dataProtectionScope, serviceName, accountName, usePlaintextFileOnLinux }) {
    for (const text of [cachePath, dataProtectionScope, serviceName, accountName]) assert.equal(typeof text, 'string');
    assert.equal(usePlaintextFileOnLinux, false);
    let kept = null;
    return {
      load: async () => kept,
      save: async (text) => {
        kept = text;
      },
    };
  },
};

export class PersistenceCachePlugin {
  #persistence;

  constructor(persistence) {
    this.#persistence = persistence;
  }

  async beforeCacheAccess({ tokenCache }) {
    const kept = await this.#persistence.load();
    if (kept !== null) tokenCache.deserialize(kept);
  }

  async afterCacheAccess({ tokenCache, cacheHasChanged }) {
    if (cacheHasChanged) await this.#persistence.save(tokenCache.serialize());
  }
}
