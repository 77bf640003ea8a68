import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { ProcessWatch } from '../process-watch.js';
import { answers } from './hostile-provider.js';
import { askHostileProviders, METHODS } from './over-http.js';

const watch = new ProcessWatch();
afterAll(() => watch[Symbol.dispose]());

test.each(Object.keys(METHODS))(
  '%s keeps its promises with whatever an identity provider answers',
  async (method) => {
    const scripts = fc.sample(fc.array(answers, { minLength: 1, maxLength: 4 }), { seed: 1, numRuns: 24 });
    const broken: string[] = [];
    await askHostileProviders(
      scripts.map((script) => ({ method, script })),
      watch,
      (lines) => broken.push(...lines),
    );
    expect(broken).toEqual([]);
    expect(watch.strays).toEqual([]);
  },
  120_000,
);
