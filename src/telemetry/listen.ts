import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { CHANNEL_PREFIX, type ChannelName, type ChannelPayloads } from '../channels.js';

/** Something to do at each event of some channels. */
export type Listeners = { [N in ChannelName]?: (payload: ChannelPayloads[N]) => void };

/** Listens until the function it returns is called. */
export function listen(listeners: Listeners): () => void {
  const bound = Object.entries(listeners).map(
    ([name, listener]) => [CHANNEL_PREFIX + name, (payload: unknown) => listener(payload as never)] as const,
  );
  for (const [name, listener] of bound) subscribe(name, listener);
  return () => {
    for (const [name, listener] of bound) unsubscribe(name, listener);
  };
}
