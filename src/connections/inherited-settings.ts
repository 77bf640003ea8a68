import type { TokenPoolConfig } from './config.js';

/**
 * A config with its inherited settings as its own, because spreading and `Object.keys` would lose them: layered settings
 * are often made with `Object.create(defaults)`. A config that inherits none is returned as it is. Never changes its input.
 */
export function withInherited(config: TokenPoolConfig): TokenPoolConfig {
  if (typeof config !== 'object' || config === null) return config;
  const { pool, options } = config;
  const ownPool = owned(pool);
  const ownOptions = owned(options);
  if (ownPool === pool && ownOptions === options) return owned(config);
  return { ...owned(config), ...(pool && { pool: ownPool }), ...(options && { options: ownOptions }) };
}

function owned<T>(settings: T): T {
  if (typeof settings !== 'object' || settings === null || !inheritsAny(settings)) return settings;
  const own = Object.create(Object.getPrototypeOf(settings)) as T;
  for (const key in settings) {
    Object.defineProperty(own, key, { value: settings[key], enumerable: true, writable: true, configurable: true });
  }
  return own;
}

function inheritsAny(settings: object): boolean {
  for (const key in settings) if (!Object.hasOwn(settings, key)) return true;
  return false;
}
