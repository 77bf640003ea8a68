import { ConfigurationError } from '../errors.js';

/** @throws ConfigurationError for a pool in place of a config */
export function refusePool(config: object): void {
  const { acquire, release, run, current } = config as Record<'acquire' | 'release' | 'run' | 'current', unknown>;
  if (typeof run === 'function' && typeof current === 'object') {
    throw new ConfigurationError('The pools of createTokenPools() were passed where one pool or a config is needed.', {
      hint: 'If a pool is accepted there, pass pools.current, the pool of the identity that pools.run() was called for.',
    });
  }
  if (typeof acquire === 'function' && typeof release === 'function') {
    throw new ConfigurationError('A pool was passed where a config is needed.', {
      hint: 'The library keeps its own pool: pass the config that your pool was created from.',
    });
  }
}
