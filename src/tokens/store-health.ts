import { publish, type StoreFailure } from '../channels.js';
import { redactedCause } from '../credentials/entra/redact.js';

/** The meaning of a failure, for the operator. */
const MEANING: Readonly<Record<StoreFailure, string>> = {
  unreachable: 'it cannot be reached, or refuses the request',
  slow: 'it does not answer in time',
  'unreadable-entry': 'an entry was changed, cut short, or written under a key that is not in `keys`',
  'wrong-answer': 'its adapter does not return what it should',
  'clock-skew': 'the clocks of two machines differ',
  'no-keys': '`keys` failed',
  'old-keys': '`keys` failed',
};

/**
 * Calls a store that may be down, slow or wrong, with a short time limit. An outage is published as an event each time
 * the store stops working, and as a process warning the first time only. A bad entry, a wrong answer of the adapter and a wrong
 * clock are each reported once, as an event and a warning.
 */
export class StoreHealth {
  readonly #timeoutMs: number;
  readonly #reported = new Set<StoreFailure | 'outage'>();
  #failing = false;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** Never rejects and never takes longer than the timeout. */
  async run<T>(operation: () => Promise<T>): Promise<T | 'store-failed'> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), this.#timeoutMs).unref();
    });
    try {
      const result = await Promise.race([operation(), late]);
      if (result !== 'late') {
        this.#worked();
        return result;
      }
      this.failed('slow', new Error(`No answer within ${this.#timeoutMs} ms.`));
    } catch (error) {
      this.failed('unreachable', error);
    } finally {
      clearTimeout(timer);
    }
    return 'store-failed';
  }

  failed(reason: StoreFailure, thrown: unknown): void {
    const error = redactedCause(thrown);
    const isOutage = reason === 'unreachable' || reason === 'slow';
    const topic = isOutage ? 'outage' : reason;
    const isNews = !this.#reported.has(topic);
    if (isOutage ? !this.#failing : isNews) publish('token:store-failed', () => ({ reason, error }));
    this.#failing ||= isOutage;
    if (!isNews) return;
    this.#reported.add(topic);
    process.emitWarning(
      reason === 'old-keys'
        ? `The shared token store continues with the keys that it has: ${MEANING[reason]} (${error.message}).`
        : `The shared token store is not used: ${MEANING[reason]} (${error.message}). Tokens are requested without it.`,
      { type: 'TokenStoreWarning', code: 'MSSQL_TOKEN_POOL_STORE' },
    );
  }

  #worked(): void {
    if (!this.#failing) return;
    this.#failing = false;
    publish('token:store-recovered', () => ({}));
  }
}
