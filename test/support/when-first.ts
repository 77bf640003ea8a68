import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterEach } from 'vitest';
import { CHANNEL_PREFIX, type ChannelName } from '../../src/channels.js';

let stopListening: (() => void)[] = [];

afterEach(() => {
  for (const stop of stopListening) stop();
  stopListening = [];
});

/** A listener that acts at the first event of a test only. */
export function whenFirst(name: ChannelName, act: () => void): void {
  const channel = CHANNEL_PREFIX + name;
  const stop = (): boolean => unsubscribe(channel, listener);
  const listener = (): void => {
    stop();
    act();
  };
  subscribe(channel, listener);
  stopListening.push(stop);
}
