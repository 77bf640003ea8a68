interface Entry {
  at: number;
  order: number;
  run: (() => void) | undefined;
}

/** What `setTimeout` gives here. */
export class VirtualTimer {
  readonly #clock: VirtualClock;
  readonly #callback: () => void;
  readonly #ms: number;
  #entry: Entry | undefined;
  #referenced = true;

  constructor(clock: VirtualClock, callback: () => void, ms: number) {
    this.#clock = clock;
    this.#callback = callback;
    // Node's own rule: no timer is longer than this, and one that would be fires at once.
    this.#ms = ms >= 1 && ms <= 2_147_483_647 ? Math.trunc(ms) : 1;
    this.#start();
  }

  #start(): void {
    this.#entry = this.#clock.schedule(this.#ms, () => {
      this.#entry = undefined;
      this.#clock.pending.delete(this);
      this.#callback();
    });
    this.#clock.pending.add(this);
  }

  hasRef(): boolean {
    return this.#referenced;
  }

  ref(): this {
    this.#referenced = true;
    return this;
  }

  unref(): this {
    this.#referenced = false;
    if (!this.#clock.unheldTimersFire) this.clear();
    return this;
  }

  refresh(): this {
    this.clear();
    this.#start();
    return this;
  }

  clear(): void {
    if (this.#entry !== undefined) this.#entry.run = undefined;
    this.#entry = undefined;
    this.#clock.pending.delete(this);
  }
}

/**
 * Virtual time: replaces Node's timers, `Date.now`, `performance.now` and `Math.random` in the whole process while
 * a simulation runs. Nothing else may run in the process meanwhile.
 *
 * Three times, as in life: the monotonic one that timers follow, the wall clock of this process, which can be set, and the
 * true time that servers go by. The process can freeze (all times go on, nothing runs) and be suspended (its monotonic time
 * stands still).
 */
export class VirtualClock {
  /** Timers that the code under test has running. */
  readonly pending = new Set<VirtualTimer>();
  readonly #heap: Entry[] = [];
  readonly #epoch: number;
  #order = 0;
  #monotonic = 0;
  #suspended = 0;
  #skew = 0;
  /** Called with uncaught errors. */
  onError: (error: unknown) => void = (error) => {
    throw error;
  };
  /** For a break: false if timers that do not hold the process are lost. */
  unheldTimersFire = true;
  /** Monotonic ms in which nothing could run. */
  frozen = 0;

  constructor(epoch: number) {
    this.#epoch = epoch;
  }

  /** Monotonic ms since the start. */
  get now(): number {
    return this.#monotonic;
  }

  /** Epoch ms as a server with a good clock sees it. */
  get trueTime(): number {
    return this.#epoch + this.#monotonic + this.#suspended;
  }

  /** `Date.now()` of this process. */
  get wall(): number {
    return Math.floor(this.trueTime + this.#skew);
  }

  /** Runs `run` after `ms`; not a timer of the code under test. */
  schedule(ms: number, run: () => void): Entry {
    this.#order += 1;
    const entry: Entry = { at: this.#monotonic + Math.max(0, ms), order: this.#order, run };
    this.#push(entry);
    return entry;
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.schedule(ms, resolve));
  }

  /** Sets the wall clock forward or back. */
  jump(ms: number): void {
    this.#skew += ms;
  }

  /** The machine sleeps: wall time passes, monotonic time does not. */
  suspend(ms: number): void {
    this.#suspended += ms;
  }

  /** The process is stopped: all times pass, whatever was due runs late. */
  freeze(ms: number): void {
    this.#monotonic += ms;
    this.frozen += ms;
  }

  /** Runs everything that is due before `end`, and what it leads to, in order; stops early when `over()`. */
  runUntil(end: number, over: () => boolean): void {
    while (!over()) {
      const next = this.#heap[0];
      if (next === undefined || next.at > end) break;
      this.#pop();
      if (next.run === undefined) continue;
      this.#monotonic = Math.max(this.#monotonic, next.at);
      try {
        next.run();
        drain();
      } catch (error) {
        this.onError(error);
      }
    }
    this.#monotonic = Math.max(this.#monotonic, end);
  }

  /** Replaces time and chance everywhere; returns a function that restores them. */
  install(random: () => number): () => void {
    const real = {
      setTimeout: globalThis.setTimeout,
      clearTimeout: globalThis.clearTimeout,
      setInterval: globalThis.setInterval,
      clearInterval: globalThis.clearInterval,
      setImmediate: globalThis.setImmediate,
      clearImmediate: globalThis.clearImmediate,
    };
    const { now: realNow } = Date;
    const { random: realRandom } = Math;
    const start = (callback: (...args: unknown[]) => void, ms = 1, ...args: unknown[]): VirtualTimer =>
      new VirtualTimer(this, args.length === 0 ? callback : () => callback(...args), ms);
    const stop = (timer: unknown): void => {
      if (timer instanceof VirtualTimer) timer.clear();
    };
    const unknown = (): never => {
      throw new Error('The simulation has no intervals: no code of ours uses them.');
    };
    Object.assign(globalThis, {
      setTimeout: start,
      clearTimeout: stop,
      setInterval: unknown,
      clearInterval: stop,
      setImmediate: (callback: () => void) => start(callback, 0),
      clearImmediate: stop,
    });
    Date.now = () => this.wall;
    Math.random = random;
    const hadOwnNow = Object.hasOwn(performance, 'now');
    Object.defineProperty(performance, 'now', { configurable: true, writable: true, value: () => this.now });
    return () => {
      Object.assign(globalThis, real);
      Date.now = realNow;
      Math.random = realRandom;
      if (!hadOwnNow) delete (performance as { now?: unknown }).now;
    };
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let i = heap.length;
    heap.push(entry);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (before(heap[parent] as Entry, entry)) break;
      heap[i] = heap[parent] as Entry;
      i = parent;
    }
    heap[i] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Entry;
    const size = heap.length;
    if (size === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= size) break;
      if (child + 1 < size && before(heap[child + 1] as Entry, heap[child] as Entry)) child += 1;
      if (before(last, heap[child] as Entry)) break;
      heap[i] = heap[child] as Entry;
      i = child;
    }
    heap[i] = last;
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/**
 * Runs all microtasks and nextTicks. Not documented, but the only way to do so from within a macrotask; a turn of the event
 * loop for each event would make the simulation many times slower.
 */
function drain(): void {
  (process as unknown as { _tickCallback(): void })._tickCallback();
}
