import { createRequire } from 'node:module';

const { cloneDeep, merge } = createRequire(import.meta.url)('lodash') as {
  cloneDeep<T>(value: T): T;
  merge<T>(target: object, ...sources: T[]): T;
};

/** What other code may do to a config before the library gets it. */
export type Copy = (value: object) => object;

/** Reads every getter, keeps functions, and loses prototypes, as rfdc and many hand-written copies do. */
const readingCopy: Copy = (value) => copyWith(value, (object) => Object.keys(object));

/** The same with the properties of the prototypes, which then become own ones. */
const forInCopy: Copy = (value) =>
  copyWith(value, (object) => {
    const keys: string[] = [];
    for (const key in object) keys.push(key);
    return keys;
  });

function copyWith(value: object, keysOf: (value: object) => string[]): object {
  const copyOf = (each: unknown): unknown =>
    Array.isArray(each)
      ? each.map(copyOf)
      : typeof each === 'object' && each !== null
        ? Object.fromEntries(keysOf(each).map((key) => [key, copyOf((each as Record<string, unknown>)[key])]))
        : each;
  return copyOf(value) as object;
}

/** Every object inherits from the original's, as in layered settings. */
const inheritingCopy: Copy = (value) => {
  const copy = Object.create(value) as object;
  for (const [key, each] of Object.entries(value)) {
    if (Object.getPrototypeOf(each ?? 0) !== Object.prototype) continue;
    Object.defineProperty(copy, key, { value: inheritingCopy(each as object), enumerable: true });
  }
  return copy;
};

/** Nothing is enumerable, as with the password that knex hides in its caller's config. */
const hidingCopy: Copy = (value) => {
  const copy = Object.create(Object.getPrototypeOf(value)) as object;
  for (const [key, each] of Object.entries(value)) {
    const isSettings = Object.getPrototypeOf(each ?? 0) === Object.prototype;
    Object.defineProperty(copy, key, { value: isSettings ? hidingCopy(each as object) : each, enumerable: false });
  }
  return copy;
};

/** Own properties with their descriptors, all frozen, as a store of settings gives them out. */
const frozenCopy: Copy = (value) => {
  const copy = Object.create(Object.getPrototypeOf(value), Object.getOwnPropertyDescriptors(value)) as object;
  for (const each of Object.values(copy)) if (typeof each === 'object' && each !== null) Object.freeze(each);
  return Object.freeze(copy);
};

/** Reads go to the original, as with the reactive objects of a framework. */
const proxy: Copy = (value) =>
  new Proxy(value, {
    get(target, key, receiver) {
      const each: unknown = Reflect.get(target, key, receiver);
      const isFixed = Object.getOwnPropertyDescriptor(target, key)?.configurable === false;
      return typeof each === 'object' && each !== null && !isFixed ? proxy(each) : each;
    },
  });

/** Each by the name that a failure prints. */
export const COPIES: Record<string, Copy> = {
  'a spread': (value) => ({ ...value }),
  'Object.assign to an empty object': (value) => Object.assign(Object.create(null) as object, value),
  'Object.create of it': (value) => Object.create(value) as object,
  'Object.create at every level': inheritingCopy,
  'Object.create with hidden properties': hidingCopy,
  'lodash cloneDeep': cloneDeep,
  'lodash merge': (value) => merge({}, value),
  'lodash merge over other settings': (value) => merge({ requestTimeout: 5_000, pool: { max: 20 } }, value),
  structuredClone: (value) => structuredClone(value),
  JSON: (value) => JSON.parse(JSON.stringify(value)) as object,
  'a copy that reads getters': readingCopy,
  'a copy with for ... in': forInCopy,
  'a frozen copy': frozenCopy,
  'a proxy': proxy,
};
