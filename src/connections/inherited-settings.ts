import type { TokenPoolConfig } from './config.js';
import { refusePool } from './refuse-pool.js';

/**
 * A config with its inherited and hidden settings as its own, because spreading and `Object.keys` would lose them: layered
 * settings are often made with `Object.create(defaults)`, and knex hides the password in the caller's own object. A config
 * without such settings is returned as it is. Never changes its input.
 *
 * @throws ConfigurationError for a pool in place of a config, because a copy of a pool could not be recognized
 */
export function withInherited(config: TokenPoolConfig): TokenPoolConfig {
  if (typeof config !== 'object' || config === null) return config;
  refusePool(config);
  const { pool, options } = config;
  const ownPool = owned(pool);
  const ownOptions = owned(options);
  if (ownPool === pool && ownOptions === options) return owned(config);
  return { ...owned(config), ...(pool && { pool: ownPool }), ...(options && { options: ownOptions }) };
}

function owned<T>(settings: T): T {
  // An array, which hides its length, is not a settings object and is refused later.
  if (typeof settings !== 'object' || settings === null || Array.isArray(settings)) return settings;
  const lost = lostByCopies(settings);
  if (lost.length === 0) return settings;
  const own = Object.create(Object.getPrototypeOf(settings)) as T;
  for (const key of [...lost, ...Object.keys(settings)] as (keyof T & string)[]) {
    Object.defineProperty(own, key, { value: settings[key], enumerable: true, writable: true, configurable: true });
  }
  return own;
}

/** The inherited settings, and those that are hidden from enumeration. */
function lostByCopies(settings: object): string[] {
  const hidden = Object.getOwnPropertyNames(settings).filter(
    (key) => !Object.prototype.propertyIsEnumerable.call(settings, key),
  );
  const inherited: string[] = [];
  for (const key in settings) if (!Object.hasOwn(settings, key)) inherited.push(key);
  return [...inherited, ...getters(settings), ...hidden];
}

/** The getters of a class, which are not enumerable. */
function getters(settings: object): string[] {
  const names: string[] = [];
  let at: object | null = Object.getPrototypeOf(settings);
  for (; at !== null && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const [key, { enumerable, get }] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
      if (get && !enumerable && key !== '__proto__' && !Object.hasOwn(settings, key)) names.push(key);
    }
  }
  return names;
}
