import { expect, test } from 'vitest';
import { ResponseOutput } from '../../../src/testing/sql/response-output.js';

/** The output of one request, and how many listeners its connection has. */
function requestOutput(): { output: ResponseOutput; listeners: Set<() => void>; leave: () => void } {
  const listeners = new Set<() => void>();
  const messages = {
    gone: false,
    onceGone(listener: () => void) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const output = new ResponseOutput({} as never, messages as never, {} as never, 'server');
  const leave = (): void => {
    messages.gone = true;
    for (const listener of listeners) listener();
  };
  return { output, listeners, leave };
}

test('the signal of a request fires when its client leaves', () => {
  const { output, leave } = requestOutput();
  const { signal } = output;
  expect(signal.aborted).toBe(false);
  leave();
  expect([signal.aborted, output.signal]).toEqual([true, signal]);
});

test('a signal that is read after the end of its request does not listen to the connection', () => {
  const { output, listeners, leave } = requestOutput();
  output.close();
  const { signal } = output;
  expect([listeners.size, signal.aborted]).toEqual([0, false]);
  expect(output.signal).toBe(signal);
  leave();
  output.close();
  expect([listeners.size, signal.aborted]).toEqual([0, false]);
});

test('a signal that is read after a request was cancelled and has ended is aborted', () => {
  const { output, listeners } = requestOutput();
  output.cancel();
  output.close();
  expect([output.signal.aborted, listeners.size]).toEqual([true, 0]);
});
