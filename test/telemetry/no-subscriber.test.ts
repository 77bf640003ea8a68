import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { expect, test } from 'vitest';
import { CHANNEL_NAMES, CHANNEL_PREFIX, publish } from '../../src/channels.js';

test.each(CHANNEL_NAMES)('%s: the payload is created only for a subscriber', (name) => {
  let made = 0;
  const payload = (): never => {
    made += 1;
    return {} as never;
  };
  publish(name, payload);
  expect(made).toBe(0);

  const listener = (): void => undefined;
  subscribe(CHANNEL_PREFIX + name, listener);
  publish(name, payload);
  expect(made).toBe(1);

  unsubscribe(CHANNEL_PREFIX + name, listener);
  publish(name, payload);
  expect(made).toBe(1);
});
