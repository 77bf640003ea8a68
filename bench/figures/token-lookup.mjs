/**
 * Looking up a cached token that is valid for a day. The pool itself uses `current`, which is synchronous; `getToken` is the
 * interface of every Azure SDK. A bare memo is the minimum: is there a token, and is it still valid by the wall clock?
 *
 * `current` also has to be right when the wall clock is set back (P1), so it reads the monotonic clock too, and two clocks cost 2.1 to
 * 2.2 x one (72 to 75 ns and 34 ns, Node.js 20). Its minimum is therefore a memo that reads both.
 */
import { ClientSecretCredential, getBearerTokenProvider } from '@azure/identity';
import { ConfidentialClientApplication } from '@azure/msal-node';
import { createCredential, TokenCache } from 'mssql-token-pool';
import { check } from '../lib/check.mjs';
import { figureProgram } from '../lib/figure-program.mjs';
import { leadMicrosoftLoginTo } from '../lib/microsoft-login.mjs';
import { figure, interleave, OURS } from '../lib/rounds.mjs';
import { startSite } from '../lib/site.mjs';

const SCOPE = 'https://database.windows.net/.default';
const MEMO = 'a bare memo';
const SAFE_MEMO = 'a memo that reads both clocks';

/** @param {{ quick: boolean }} options */
async function measure({ quick }) {
  const site = await startSite();
  try {
    leadMicrosoftLoginTo(site.entra);
    const { tenantId } = site.entra;
    const { clientId, clientSecret } = await site.addApp();
    const cache = new TokenCache(createCredential({ tenantId, clientId, clientSecret }));
    const memo = await cache.getToken(SCOPE);
    const epoch = Date.now() - performance.now();
    const authority = `https://login.microsoftonline.com/${tenantId}`;
    const application = new ConfidentialClientApplication({ auth: { clientId, clientSecret, authority } });
    const identity = new ClientSecretCredential(tenantId, clientId, clientSecret);
    const provider = getBearerTokenProvider(identity, SCOPE);

    /** @param {{ token: string } | null | undefined} answer */
    const isToken = (answer) => check(answer?.token?.split('.').length === 3, 'a lookup gave no token');
    const options = { rounds: quick ? 3 : 15, warmUp: quick ? 1 : 3 };
    const many = quick ? 20_000 : 200_000;
    const few = quick ? 50 : 200;

    const synchronous = await interleave(
      {
        [OURS]: () =>
          nanoseconds(
            many,
            () => cache.current(SCOPE),
            (held) => isToken({ token: held?.reveal() ?? '' }),
          ),
        [MEMO]: () => nanoseconds(many, () => (Date.now() < memo.expiresOnTimestamp ? memo : undefined), isToken),
        [SAFE_MEMO]: () =>
          nanoseconds(
            many,
            () => (Math.max(Date.now(), epoch + performance.now()) < memo.expiresOnTimestamp ? memo : undefined),
            isToken,
          ),
      },
      options,
    );
    const remember = async () => (Date.now() < memo.expiresOnTimestamp ? memo : cache.getToken(SCOPE));
    const acquire = () => application.acquireTokenByClientCredential({ scopes: [SCOPE] });
    const asynchronous = await interleave(
      {
        [OURS]: () => nanosecondsAwaited(many, () => cache.getToken(SCOPE), isToken),
        [MEMO]: () => nanosecondsAwaited(many, remember, isToken),
        'msal-node acquireTokenByClientCredential': () =>
          nanosecondsAwaited(few, acquire, (answer) => isToken({ token: answer?.accessToken ?? '' })),
        '@azure/identity getToken': () => nanosecondsAwaited(few, () => identity.getToken(SCOPE), isToken),
        '@azure/identity getBearerTokenProvider': () =>
          nanosecondsAwaited(few, provider, (answer) => isToken({ token: answer })),
      },
      options,
    );
    const aim = '<= 2 x the memo';
    const reached = ({ ratio }) => ratio <= 2;
    return [
      figure({
        ...{ name: 'warm token lookup: current', unit: 'ns', against: SAFE_MEMO, results: synchronous },
        aim: '<= 1.2 x a memo that reads both clocks',
        reached: ({ ratios }) => ratios[SAFE_MEMO] <= 1.2,
      }),
      figure({ name: 'warm token lookup: getToken', unit: 'ns', aim, against: MEMO, results: asynchronous, reached }),
    ];
  } finally {
    site.close();
  }
}

/** @param {number} times @param {() => any} lookUp @param {(answer: any) => void} verify */
function nanoseconds(times, lookUp, verify) {
  let answer;
  const startedAt = performance.now();
  for (let i = 0; i < times; i += 1) {
    answer = lookUp();
    if (answer === undefined) break;
  }
  const milliseconds = performance.now() - startedAt;
  verify(answer);
  return (milliseconds * 1e6) / times;
}

/** @param {number} times @param {() => Promise<any>} lookUp @param {(answer: any) => void} verify */
async function nanosecondsAwaited(times, lookUp, verify) {
  let answer;
  const startedAt = performance.now();
  for (let i = 0; i < times; i += 1) {
    answer = await lookUp();
    if (answer === undefined) break;
  }
  const milliseconds = performance.now() - startedAt;
  verify(answer);
  return (milliseconds * 1e6) / times;
}

await figureProgram(measure);
