import { setTimeout as sleep } from 'node:timers/promises';

/** Three users call an API at the same time for a few seconds; each must get their own answer. */
export async function callAs({ entra, report }, url) {
  const users = ['ada', 'bob', 'cleo'].map((name) => entra.addUser({ userName: `${name}@contoso.example` }));
  const until = Date.now() + Number(process.env.EXAMPLE_MS ?? 15_000);
  let [right, wrong] = [0, 0];
  while (Date.now() < until) {
    const calls = [...users, ...users].map(async (user) => {
      // The token that the user's browser would get from a sign-in.
      const token = entra.issueToken({ principal: user, audience: `api://${entra.clientId}`, expiresInSeconds: 60 });
      const response = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
      return response.ok && (await response.json()).name === user.userName;
    });
    const answers = await Promise.all(calls);
    right += answers.filter((isRight) => isRight).length;
    wrong += answers.filter((isRight) => !isRight).length;
    await sleep(200);
  }
  const unsigned = await fetch(url);
  console.log(`${right} answers to the right user, ${wrong} wrong or failed, without a token: ${unsigned.status}`);
  process.exitCode = wrong + report() === 0 ? 0 : 1;
}
