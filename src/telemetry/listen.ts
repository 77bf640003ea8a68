import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { CHANNEL_PREFIX, type ChannelName, type ChannelPayloads } from '../channels.js';

/** A listener per channel. */
export type Listeners = { [N in ChannelName]?: (payload: ChannelPayloads[N]) => void };

/** Subscribes the listeners. The returned function unsubscribes them. */
export function listen(listeners: Listeners): () => void {
  const bound = Object.entries(listeners).map(
    ([name, listener]) => [CHANNEL_PREFIX + name, (payload: unknown) => listener(payload as never)] as const,
  );
  for (const [name, listener] of bound) subscribe(name, listener);
  return () => {
    for (const [name, listener] of bound) unsubscribe(name, listener);
  };
}
