import type { StoredValue, TokenStore } from '../../src/index.js';

/** A custom store as a user would write it, with the faults of a real one. */
export class MemoryStore implements TokenStore {
  readonly values = new Map<string, { value: string; endsAt: number }>();
  readonly leases = new Map<string, { owner: object; endsAt: number }>();
  /** Replaces the work of every call. */
  fault: 'none' | 'reject' | 'throw' | 'hang' = 'none';
  calls = 0;

  get(name: string): Promise<StoredValue | undefined> {
    return this.#call(() => {
      const kept = this.values.get(name);
      if (kept === undefined || kept.endsAt <= performance.now()) return undefined;
      return { value: kept.value, ttlMs: kept.endsAt - performance.now() };
    });
  }

  set(name: string, value: string, ttlMs: number): Promise<void> {
    return this.#call(() => {
      this.values.set(name, { value, endsAt: performance.now() + ttlMs });
    });
  }

  lease(name: string, leaseMs: number): Promise<(() => Promise<void>) | undefined> {
    return this.#call(() => {
      const now = performance.now();
      if ((this.leases.get(name)?.endsAt ?? 0) > now) return undefined;
      const owner = {};
      this.leases.set(name, { owner, endsAt: now + leaseMs });
      return () =>
        this.#call(() => {
          if (this.leases.get(name)?.owner === owner) this.leases.delete(name);
        });
    });
  }

  /** Rewrites the stored values, as an attacker with access could. */
  tamper(change: (value: string) => string): void {
    for (const kept of this.values.values()) kept.value = change(kept.value);
  }

  #call<T>(work: () => T): Promise<T> {
    this.calls += 1;
    switch (this.fault) {
      case 'throw':
        throw new Error('ECONNREFUSED');
      case 'reject':
        return Promise.reject(new Error('NOAUTH Authentication required.'));
      case 'hang':
        return new Promise(() => {});
      default:
        return Promise.resolve().then(work);
    }
  }
}
