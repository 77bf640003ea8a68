// Runs before `npm publish`: what only the owner can decide must be decided by then.
import { readFileSync } from 'node:fs';

const { repository } = JSON.parse(readFileSync('package.json', 'utf8'));
if (repository === undefined) {
  console.error(
    'package.json has no `repository`. Set it: npm needs it for the relative links and images of the README, and the documentation site for its edit links.',
  );
  process.exitCode = 1;
}
