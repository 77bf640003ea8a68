import { expect, test } from 'vitest';
import { ConfigurationError, OnBehalfOfTokens } from '../../src/index.js';

const application = { tenantId: 'contoso.onmicrosoft.com', clientId: 'web-api', clientSecret: 'secret' };

test('each user has a cache, and the same assertion gets the same one', () => {
  const people = new OnBehalfOfTokens(application);
  expect(people.size).toBe(0);
  const ada = people.for('assertion-of-ada');
  expect(people.for('assertion-of-bob')).not.toBe(ada);
  expect(people.for('assertion-of-ada')).toBe(ada);
  expect(people.size).toBe(2);
});

test('beyond maxUsers the least recently seen user is dropped', () => {
  const people = new OnBehalfOfTokens(application, { maxUsers: 2 });
  const [ada, bob] = [people.for('ada'), people.for('bob')];
  expect(people.for('ada')).toBe(ada);
  const cleo = people.for('cleo');
  expect(people.size).toBe(2);
  expect(people.for('ada')).toBe(ada);
  expect(people.for('cleo')).toBe(cleo);
  expect(people.for('bob')).not.toBe(bob);
  expect(people.size).toBe(2);
});

test('a thousand users are cached by default', () => {
  const people = new OnBehalfOfTokens(application);
  const first = people.for('person-0');
  for (let i = 1; i < 1_000; i += 1) people.for(`person-${i}`);
  expect(people.size).toBe(1_000);
  expect(people.for('person-0')).toBe(first);
  people.for('one-more');
  expect(people.size).toBe(1_000);
});

test("the options apply to each user's cache", () => {
  const people = new OnBehalfOfTokens(application, { requestTimeoutMs: -1 });
  expect(() => people.for('ada')).toThrow(ConfigurationError);
});

test.each([0, 0.5, -1, Number.NaN, '5' as never])('maxUsers: %j is rejected', (maxUsers) => {
  expect(() => new OnBehalfOfTokens(application, { maxUsers })).toThrow(ConfigurationError);
  expect(() => new OnBehalfOfTokens(application, { maxUsers })).toThrow("'maxUsers' must be a number greater than 0.");
});

test("reports a mistake in the application's options before the first user", () => {
  expect(() => new OnBehalfOfTokens({ tenantId: 't', clientId: 'c' } as never)).toThrow(/clientSecret/);
});

test('maxUsers: 1 keeps the latest user', () => {
  const people = new OnBehalfOfTokens(application, { maxUsers: 1 });
  const ada = people.for('ada');
  expect(people.for('ada')).toBe(ada);
  people.for('bob');
  expect(people.size).toBe(1);
  expect(people.for('ada')).not.toBe(ada);
});

test('an assertion in place of the application, and options that do not exist, are refused with their names', () => {
  const withAssertion = { ...application, userAssertion: 'ada' } as never;
  expect(() => new OnBehalfOfTokens(withAssertion)).toThrow(
    "new OnBehalfOfTokens() takes only the application: pass 'userAssertion' to for().",
  );
  expect(() => new OnBehalfOfTokens(application, { maxUser: 5 } as never)).toThrow(
    "new OnBehalfOfTokens() has no option 'maxUser'",
  );
});

test.each([undefined, null, '', 7])('a call without an assertion is refused: for(%j)', (assertion) => {
  const people = new OnBehalfOfTokens(application);
  expect(() => people.for(assertion as never)).toThrow(ConfigurationError);
  expect(() => people.for(assertion as never)).toThrow("'userAssertion'");
  expect(people.size).toBe(0);
});
