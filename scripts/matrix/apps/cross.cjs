// Runs queries with three concurrent callers while two tokens expire, then closes.
const { setTimeout: sleep } = require('node:timers/promises');

exports.config = process.env.MATRIX_CONFIG === undefined ? undefined : JSON.parse(process.env.MATRIX_CONFIG);

exports.cross = async function cross({ query, close }) {
  const end = Date.now() + Number(process.env.MATRIX_MS ?? 7_500);
  let queries = 0;
  while (Date.now() < end) {
    await Promise.all([query(), query(), query()]);
    queries += 3;
    await sleep(40);
  }
  await close();
  console.log(`${queries} queries`);
  return queries;
};
