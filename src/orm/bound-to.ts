/**
 * A stand-in for `target`: everything except `replaced` is read, written and called on the target itself. Two stand-ins
 * for one target are different objects.
 */
export function boundTo<T extends object>(target: T, replaced: Partial<T> = {}): T {
  return new Proxy(target, {
    get(_, key) {
      if (key in replaced) return replaced[key as keyof T];
      const value: unknown = Reflect.get(target, key);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
