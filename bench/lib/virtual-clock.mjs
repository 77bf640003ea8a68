/**
 * Virtual time for a whole process: a day passes as fast as the machine can work through what happens in it. Install it
 * before the libraries are loaded, so that they find it in the place of the real clock.
 */
export class VirtualClock {
  /** Epoch ms. */
  now = Date.UTC(2026, 0, 1);
  /** Timers that are running, by the ms at which they are due. */
  #due = new Map();
  /** Instants at which something is due, a binary heap. */
  #instants = [];
  #timers = 0;
  #start = this.now;
  #real = { setImmediate, now: performance.now.bind(performance) };

  /** Timers that are running now. */
  get timers() {
    return this.#timers;
  }

  /** Real milliseconds, to measure with. */
  realNow() {
    return this.#real.now();
  }

  install() {
    Object.assign(globalThis, {
      setTimeout: (run, ms, ...args) => new Timer(this, () => run(...args), ms, false),
      setInterval: (run, ms, ...args) => new Timer(this, () => run(...args), ms, true),
      clearTimeout: (timer) => timer?.stop?.(),
      clearInterval: (timer) => timer?.stop?.(),
    });
    Date.now = () => this.now;
    performance.now = () => this.now - this.#start;
  }

  /** Lets what promises have in store happen, without any time passing. */
  settle() {
    return new Promise((resolve) => this.#real.setImmediate(resolve));
  }

  /** Lets time pass. Everything due happens in order; what is due at the same instant, in one turn. */
  async advance(ms) {
    const end = this.now + ms;
    await this.settle();
    while (this.#instants.length > 0 && this.#instants[0] <= end) {
      this.now = pop(this.#instants);
      const timers = this.#due.get(this.now);
      this.#due.delete(this.now);
      for (const timer of timers) timer.fire();
      if (timers.length > 0) await this.settle();
    }
    this.now = end;
  }

  /** @param {Timer} timer @param {number} ms */
  add(timer, ms) {
    this.#timers += 1;
    const at = Math.ceil(this.now + Math.max(1, ms || 1));
    const there = this.#due.get(at);
    if (there !== undefined) {
      there.push(timer);
      return;
    }
    this.#due.set(at, [timer]);
    push(this.#instants, at);
  }

  ended() {
    this.#timers -= 1;
  }
}

class Timer {
  #clock;
  #run;
  #ms;
  #repeats;
  #running = true;

  constructor(clock, run, ms, repeats) {
    this.#clock = clock;
    this.#run = run;
    this.#ms = ms;
    this.#repeats = repeats;
    clock.add(this, ms);
  }

  fire() {
    if (!this.#running) return;
    this.#clock.ended();
    if (this.#repeats) this.#clock.add(this, this.#ms);
    else this.#running = false;
    this.#run();
  }

  stop() {
    if (!this.#running) return;
    this.#running = false;
    this.#clock.ended();
  }

  ref() {
    return this;
  }

  unref() {
    return this;
  }

  hasRef() {
    return this.#running;
  }
}

function push(heap, value) {
  let i = heap.length;
  heap.push(value);
  while (i > 0) {
    const parent = (i - 1) >> 1;
    if (heap[parent] <= value) break;
    heap[i] = heap[parent];
    i = parent;
  }
  heap[i] = value;
}

function pop(heap) {
  const first = heap[0];
  const last = heap.pop();
  let i = 0;
  for (let child = 1; child < heap.length; child = 2 * i + 1) {
    if (child + 1 < heap.length && heap[child + 1] < heap[child]) child += 1;
    if (last <= heap[child]) break;
    heap[i] = heap[child];
    i = child;
  }
  if (heap.length > 0) heap[i] = last;
  return first;
}
