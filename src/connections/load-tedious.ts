import { ConfigurationError } from '../errors.js';
import { isMissing } from '../installed.js';
import type { TediousModule } from './dial.js';
import type { Settings } from './settings.js';

/** The tedious of a config, or the one that is installed. */
export async function tediousOf({ tedious }: Pick<Settings, 'tedious'>): Promise<TediousModule> {
  return tedious ?? (await loadTedious());
}

/** Loaded at the first connection, so that importing this package costs nothing. */
async function loadTedious(): Promise<TediousModule> {
  try {
    const tedious = await import('tedious');
    // CommonJS under another loader may keep everything on `default`.
    return tedious.Connection === undefined ? (tedious as unknown as { default: TediousModule }).default : tedious;
  } catch (error) {
    if (!isMissing(error, 'tedious')) throw error;
    throw new ConfigurationError("The package 'tedious' is not installed: npm install tedious", { cause: error });
  }
}
