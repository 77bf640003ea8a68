import { ConfigurationError } from '../errors.js';
import { isMissing } from '../installed.js';
import type { TediousModule } from './dial.js';
import type { Settings } from './settings.js';

/** Loaded at the first connection, so that importing this package costs nothing. */
const importTedious = (): Promise<TediousModule> => import('tedious');

/**
 * The tedious of a config, or the one that is installed.
 *
 * @param load for tests
 */
export async function tediousOf(
  { tedious }: Pick<Settings, 'tedious'>,
  load: () => Promise<object> = importTedious,
): Promise<TediousModule> {
  if (tedious !== undefined) return tedious;
  try {
    const loaded = (await load()) as TediousModule & { default: TediousModule };
    // CommonJS under another loader may keep everything on `default`.
    return loaded.Connection === undefined ? loaded.default : loaded;
  } catch (error) {
    if (!isMissing(error, 'tedious')) throw error;
    throw new ConfigurationError("The package 'tedious' is not installed: npm install tedious", { cause: error });
  }
}
