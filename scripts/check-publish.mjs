// Runs before `npm publish`: checks that the owner has made the decisions that only they can make.
import { readFileSync } from 'node:fs';

const { repository } = JSON.parse(readFileSync('package.json', 'utf8'));
if (repository === undefined) {
  console.error(
    'package.json has no `repository`. Set it: npm needs it for the relative links and images of the README, and the documentation site for its edit links.',
  );
  process.exitCode = 1;
}
