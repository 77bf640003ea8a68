/**
 * What is due next: a binary heap of items by time. Adding and taking cost log n and what is not due costs nothing, so a
 * sweep follows what expires, not what exists.
 */
export class Deadlines<T> {
  readonly #heap: { item: T; at: number }[] = [];

  get size(): number {
    return this.#heap.length;
  }

  /** When the first item is due; Infinity when there is none. */
  get next(): number {
    return this.#heap[0]?.at ?? Number.POSITIVE_INFINITY;
  }

  add(item: T, at: number): void {
    const heap = this.#heap;
    let i = heap.length;
    heap.push({ item, at });
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (this.#at(parent) <= at) break;
      this.#swap(i, parent);
      i = parent;
    }
  }

  /** Takes the first entry out if it is due. */
  takeDue(now: number): { item: T; at: number } | undefined {
    const heap = this.#heap;
    const first = heap[0];
    if (first === undefined || first.at > now) return undefined;
    const last = heap.pop() as { item: T; at: number };
    if (heap.length > 0) {
      heap[0] = last;
      this.#sink();
    }
    return first;
  }

  clear(): void {
    this.#heap.length = 0;
  }

  #sink(): void {
    let i = 0;
    for (;;) {
      const left = 2 * i + 1;
      const right = left + 1;
      let least = i;
      if (this.#at(left) < this.#at(least)) least = left;
      if (this.#at(right) < this.#at(least)) least = right;
      if (least === i) return;
      this.#swap(i, least);
      i = least;
    }
  }

  #at(i: number): number {
    return this.#heap[i]?.at ?? Number.POSITIVE_INFINITY;
  }

  #swap(a: number, b: number): void {
    const heap = this.#heap as [{ item: T; at: number }];
    const held = heap[a] as { item: T; at: number };
    heap[a] = heap[b] as { item: T; at: number };
    heap[b] = held;
  }
}
