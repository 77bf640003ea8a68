import { beforeEach, expect, test } from 'vitest';
import { ApplicationTurns, turnsOf } from '../../../src/credentials/entra/application-turns.js';
import { CredentialRejectedError, TokenThrottledError, TokenUnavailableError } from '../../../src/index.js';
import { sleep } from '../../../src/time.js';
import { clockPerTest } from '../../support/clock-per-test.js';

const clock = clockPerTest();

let turns: ApplicationTurns;
let sent: string[];
let answers: Map<string, (error?: Error) => void>;

beforeEach(() => {
  turns = new ApplicationTurns('web-api');
  sent = [];
  answers = new Map();
});

/** A request that is under way until it is answered. */
function ask(user: string, name = user, signal?: AbortSignal): Promise<string> {
  const request = () =>
    new Promise<string>((resolve, reject) => {
      sent.push(name);
      answers.set(name, (error) => (error === undefined ? resolve(name) : reject(error)));
    });
  const asked = turns.run(user, request, signal);
  asked.catch(() => {});
  return asked;
}

async function answer(name: string, error?: Error): Promise<void> {
  await clock.settle();
  answers.get(name)?.(error);
  await clock.settle();
}

const throttled = (retryAfterMs?: number) => new TokenThrottledError('Slow down.', { status: 429, retryAfterMs });

test('P5: after a 429, the application sends no request for any user until Retry-After has passed', async () => {
  const first = ask('ada');
  await answer('ada', throttled(60_000));
  await expect(first).rejects.toThrow('Slow down.');
  for (const user of ['ada', 'bob']) {
    await expect(ask(user)).rejects.toMatchObject({
      code: 'ERR_TOKEN_THROTTLED',
      status: 429,
      retryAfterMs: expect.toSatisfy((ms: number) => ms >= 60_000 && ms <= 66_000),
      message: 'The identity provider throttles application web-api: no on-behalf-of request is sent for now.',
    });
  }
  await clock.pass(59_999);
  await expect(ask('bob')).rejects.toThrow(TokenThrottledError);
  expect(sent).toEqual(['ada']);
  await clock.pass(6_001);
  ask('bob');
  await clock.settle();
  expect(sent).toEqual(['ada', 'bob']);
});

test('P5: without Retry-After the pause after a 429 is 5 s, doubling to 60 s, and a success ends it', async () => {
  for (const pauseMs of [5_000, 10_000, 20_000, 40_000, 60_000, 60_000]) {
    ask('ada');
    await answer('ada', throttled());
    await clock.pass(pauseMs - 1);
    await expect(ask('bob')).rejects.toThrow(TokenThrottledError);
    await clock.pass(pauseMs / 10 + 1);
  }
  ask('bob');
  await answer('bob');
  ask('ada');
  await answer('ada', throttled());
  await clock.pass(5_500);
  ask('cleo');
  await clock.settle();
  expect(sent.at(-1)).toBe('cleo');
});

test('a 503 with Retry-After pauses the application, any other failure does not', async () => {
  const failures = [
    new TokenUnavailableError('Failed.', { status: 503 }),
    new TokenUnavailableError('Failed.', { status: 500, retryAfterMs: 60_000 }),
    new TokenUnavailableError('Failed.'),
    new CredentialRejectedError('AADSTS50013', { status: 400, retryAfterMs: 60_000 }),
    new Error('no error of ours'),
  ];
  for (const [i, error] of failures.entries()) {
    ask('ada', `ada ${i}`);
    await answer(`ada ${i}`, error);
  }
  ask('bob');
  await answer('bob', new TokenUnavailableError('Failed.', { status: 503, retryAfterMs: 60_000 }));
  expect(sent).toHaveLength(6);
  await expect(ask('cleo')).rejects.toMatchObject({ code: 'ERR_TOKEN_THROTTLED', status: 503 });
});

test('ten requests that are throttled together count as one failure', async () => {
  for (let i = 0; i < 10; i += 1) ask(`user ${i}`);
  await clock.settle();
  for (let i = 0; i < 10; i += 1) await answer(`user ${i}`, throttled());
  await clock.pass(5_500);
  ask('bob');
  await clock.settle();
  expect(sent.at(-1)).toBe('bob');
});

test('at most ten requests of an application are under way, five of them for one user', async () => {
  for (let i = 0; i < 40; i += 1) ask('ada', `ada ${i}`);
  await clock.settle();
  expect(sent).toEqual(['ada 0', 'ada 1', 'ada 2', 'ada 3', 'ada 4']);
  for (let i = 0; i < 40; i += 1) ask(`user ${i}`);
  await clock.settle();
  expect(sent).toHaveLength(10);
});

test('users take turns, and the requests of one user go in order', async () => {
  for (let i = 0; i < 8; i += 1) ask(`early ${i}`);
  for (let i = 0; i < 7; i += 1) ask('ada', `ada ${i}`);
  for (const user of ['bob', 'cleo']) ask(user);
  await clock.settle();
  sent = [];
  for (let i = 0; i < 6; i += 1) await answer(`early ${i}`);
  expect(sent).toEqual(['ada 2', 'bob', 'cleo', 'ada 3', 'ada 4']);
  await answer('ada 0');
  expect(sent).toEqual(['ada 2', 'bob', 'cleo', 'ada 3', 'ada 4', 'ada 5']);
});

test('forty assertions of one user are exchanged within 2.4 s by a provider that takes 300 ms', async () => {
  let exchanged = 0;
  const exchange = () => sleep(300);
  for (let i = 0; i < 40; i += 1) {
    void turns.run('ada', exchange, undefined).then(() => {
      exchanged += 1;
    });
  }
  await clock.pass(2_400);
  await clock.settle();
  expect(exchanged).toBe(40);
});

test('a 429 refuses the requests that wait for a turn as well', async () => {
  const asked = Array.from({ length: 7 }, (_, i) => ask('ada', `ada ${i}`));
  await clock.settle();
  await answer('ada 0', throttled(60_000));
  for (const waiting of asked.slice(5)) await expect(waiting).rejects.toMatchObject({ code: 'ERR_TOKEN_THROTTLED' });
  for (let i = 1; i < 5; i += 1) await answer(`ada ${i}`);
  expect(sent).toHaveLength(5);
});

test('the wait for a turn ends after 10 s, with the reason', async () => {
  const asked = Array.from({ length: 6 }, (_, i) => ask('ada', `ada ${i}`));
  await clock.pass(10_000);
  await expect(asked[5]).rejects.toMatchObject({
    code: 'ERR_TOKEN_TIMEOUT',
    message: 'No turn within 10000 ms: 5 on-behalf-of requests of application web-api are under way.',
  });
  await answer('ada 0');
  expect(sent).toHaveLength(5);
});

test('an aborted request releases its turn, whether it waits or is under way', async () => {
  const abort = new AbortController();
  const asked = Array.from({ length: 6 }, (_, i) => ask('ada', `ada ${i}`, abort.signal));
  ask('ada', 'last');
  await clock.settle();
  expect(sent).toHaveLength(5);
  abort.abort(new Error('enough'));
  await clock.settle();
  await expect(asked[5]).rejects.toMatchObject({ code: 'ERR_ABORTED' });
  expect(sent).toEqual(['ada 0', 'ada 1', 'ada 2', 'ada 3', 'ada 4', 'last']);
  await expect(ask('ada', 'too late', abort.signal)).rejects.toMatchObject({ code: 'ERR_ABORTED' });
  // Its late answer gives no second turn back.
  await answer('ada 0');
  for (let i = 0; i < 9; i += 1) ask('ada', `more ${i}`);
  await clock.settle();
  expect(sent).toHaveLength(10);
});

test('an application has the same turns in the whole process, another application has its own', () => {
  const own = turnsOf('https://login.example/t', 'web-api');
  expect(turnsOf('https://login.example/t', 'web-api')).toBe(own);
  expect(turnsOf('https://login.example/t', 'another')).not.toBe(own);
  expect(turnsOf('https://login.example/u', 'web-api')).not.toBe(own);
});
