/** What `setTimeout` and `setInterval` return while a clock is installed. */
export class DrivenTimer {
  readonly #clock: DrivenClock;
  readonly #callback: () => void;
  readonly #ms: number;
  readonly #repeats: boolean;
  #entry: Entry | undefined;
  #referenced = true;

  constructor(clock: DrivenClock, callback: () => void, ms: number, repeats = false) {
    this.#clock = clock;
    this.#callback = callback;
    // Node's own rule: a timer that would be longer than this fires at once.
    this.#ms = ms >= 1 && ms <= 2_147_483_647 ? Math.trunc(ms) : 1;
    this.#repeats = repeats;
    this.#start();
  }

  #start(): void {
    this.#entry = this.#clock.schedule(this.#ms, this.#fire);
    this.#clock.pending.add(this);
  }

  readonly #fire = (): void => {
    if (this.#repeats) this.#entry = this.#clock.schedule(this.#ms, this.#fire);
    else this.clear();
    this.#callback();
  };

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

interface Entry {
  at: number;
  order: number;
  run: (() => void) | undefined;
}

export interface WhatToDrive {
  /** False: timers are real, and only `Date` and `performance.now()` are driven. */
  timers?: boolean;
  /** False: `setImmediate` is real. */
  immediates?: boolean;
  /** Replaces `Math.random`. */
  random?: () => number;
}

/**
 * The clock of tests, simulation and benchmarks. Installed, it replaces `Date`, `performance.now()` and Node's timers in the
 * whole process; time passes only when `pass` or `runUntil` is called.
 *
 * There are three times, as in reality: the monotonic one that timers follow, the wall clock of this process, which can be set, and the
 * true time of the servers. The process can freeze (all times pass, nothing runs) and be suspended (its monotonic time
 * stands still).
 */
export class DrivenClock implements Disposable {
  /** Timers that are running. */
  readonly pending = new Set<DrivenTimer>();
  /** Called with errors that a timer throws. */
  onError: (error: unknown) => void = (error) => {
    throw error;
  };
  /** For a break of the simulation: false if unref'd timers are lost. */
  unheldTimersFire = true;
  /** Monotonic ms in which nothing could run. */
  frozen = 0;
  readonly #epoch: number;
  /** A binary heap. */
  readonly #heap: Entry[] = [];
  #order = 0;
  #monotonic = 0;
  #suspended = 0;
  #skew = 0;
  #uninstall: (() => void) | undefined;

  /** @param epoch - the time at which it starts, epoch ms */
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

  /** Sets the wall clock forward or back by `ms`. */
  jump(ms: number): void {
    this.#skew += ms;
  }

  /** The machine sleeps: wall time passes, monotonic time does not. */
  suspend(ms: number): void {
    this.#suspended += ms;
  }

  /** The process is stopped: all times pass, and whatever was due runs late. */
  freeze(ms: number): void {
    this.#monotonic += ms;
    this.frozen += ms;
  }

  /** Lets `ms` pass. What is due runs in order, and what follows from it before any more time passes. */
  async pass(ms: number): Promise<void> {
    const end = this.#monotonic + ms;
    await turn();
    for (let at = this.nextDueAt; at !== undefined && at <= end; at = this.nextDueAt) {
      const due = at;
      await turn(() => this.runUntil(due));
      await turn();
    }
    this.#monotonic = Math.max(this.#monotonic, end);
  }

  /** Lets time pass until no timer is running. */
  async passUntilIdle(): Promise<void> {
    await this.settle();
    for (let at = this.nextDueAt; at !== undefined; at = this.nextDueAt) await this.pass(at - this.#monotonic);
  }

  /** Runs everything that does not need time to pass. */
  async settle(): Promise<void> {
    await turn();
  }

  /**
   * Synchronous: runs everything that is due before `end`, and what follows from it, in order; stops early when `over()`.
   * Call it from a macrotask.
   */
  runUntil(end: number, over: () => boolean = () => false): void {
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

  /** Replaces the clocks and timers of the process until `uninstall`. */
  install({ timers = true, immediates = timers, random }: WhatToDrive = {}): this {
    const restore = [this.#driveClocks()];
    if (timers) restore.push(this.#driveTimers());
    if (immediates) restore.push(this.#driveImmediates());
    if (random !== undefined) restore.push(replace(Math, { random }));
    this.#uninstall = () => {
      for (const each of restore) each();
    };
    return this;
  }

  /** Restores the real clocks and timers. */
  uninstall(): void {
    this.#uninstall?.();
    this.#uninstall = undefined;
  }

  [Symbol.dispose](): void {
    this.uninstall();
  }

  #driveClocks(): () => void {
    const wall = (): number => this.wall;
    const RealDate = globalThis.Date;
    class DrivenDate extends RealDate {
      constructor(...when: []) {
        super(...(when.length > 0 ? when : ([wall()] as unknown as [])));
      }
      static override now(): number {
        return wall();
      }
    }
    const restoreDate = replace(globalThis, { Date: DrivenDate as DateConstructor });
    const restoreNow = replace(performance, { now: () => this.now });
    return () => {
      restoreDate();
      restoreNow();
    };
  }

  #driveTimers(): () => void {
    const { clearTimeout: realClear } = globalThis;
    const start =
      (repeats: boolean) =>
      (callback: (...args: unknown[]) => void, ms = 1, ...args: unknown[]): DrivenTimer =>
        new DrivenTimer(this, args.length === 0 ? callback : () => callback(...args), ms, repeats);
    const stop = (timer: unknown): void => {
      if (timer instanceof DrivenTimer) timer.clear();
      // One that was started before.
      else realClear(timer as NodeJS.Timeout);
    };
    return replace(globalThis, {
      setTimeout: start(false) as unknown as typeof setTimeout,
      setInterval: start(true) as unknown as typeof setInterval,
      clearTimeout: stop,
      clearInterval: stop,
    });
  }

  #driveImmediates(): () => void {
    return replace(globalThis, {
      setImmediate: ((callback: () => void) => new DrivenTimer(this, callback, 0)) as unknown as typeof setImmediate,
      clearImmediate: (immediate: unknown) => (immediate as DrivenTimer | undefined)?.clear(),
    });
  }

  /** When the next timer is due, monotonic ms. */
  get nextDueAt(): number | undefined {
    while (this.#heap[0] !== undefined && this.#heap[0].run === undefined) this.#pop();
    return this.#heap[0]?.at;
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

const realSetImmediate = globalThis.setImmediate;

/** A turn of the event loop, in which `run` is called. */
function turn(run: () => void = () => {}): Promise<void> {
  return new Promise((resolve, reject) => {
    realSetImmediate(() => {
      try {
        resolve(run());
      } catch (error) {
        reject(error);
      }
    });
  });
}

function before(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/** Replaces properties of an object; returns a function that restores them. */
function replace<T extends object>(object: T, replacements: Partial<T>): () => void {
  const names = Object.keys(replacements) as (keyof T)[];
  const own = names.map((name) => Object.getOwnPropertyDescriptor(object, name));
  for (const name of names) {
    Object.defineProperty(object, name, { configurable: true, writable: true, value: replacements[name] });
  }
  return () => {
    for (const [i, name] of names.entries()) {
      const descriptor = own[i];
      if (descriptor === undefined) delete object[name];
      else Object.defineProperty(object, name, descriptor);
    }
  };
}

/**
 * Runs all microtasks and nextTicks. Not documented, but the only way to do so from within a macrotask; a turn of the event
 * loop for each event would make the simulation many times slower.
 */
function drain(): void {
  (process as unknown as { _tickCallback(): void })._tickCallback();
}
