// Keeps private vocabulary out of code, comments, messages, docs and test names: words that a Node or SQL Server developer
// would have to learn first. `node scripts/check-words.mjs [--list] [path ...]`
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Pattern → what to write instead. Matched against text in which camelCase and snake_case are split into words. */
const RULES = [
  [/\bwho(so)?ever\b|\bwhomever\b|\bfor whom\b/, 'the caller, the user, any code that'],
  [/\bno ?body\b/, 'no caller, no one, or turn the sentence round ("is not called")'],
  [/\bto(ld|lds)\b|\btells?\b|\btelling\b/, 'report, notify, pass, distinguish ("cannot distinguish")'],
  [/\bmend(s|ed|ing)?\b/, 'fix'],
  [/\bdoomed\b|\bvacat(e|es|ed|ing)\b|\bripe\b|\boutdated\b/, 'eviction reason, evict, past max age, on an old token'],
  [/\blen[dt](s|er|ers|ing)?\b|\bloan(s|ed)?\b/, 'check out, borrowed, release'],
  [/\b(tak|giv)(e|es|en|ing) (it |them |one |itself )?back\b|\b(took|gave) (it |them |one )?back\b/, 'return, release'],
  [/\b(come|comes|came|coming) back\b/, 'returns, recovers, is released'],
  [/\b(is|are|was|were|be) had\b|\b(to|can) be had\b/, 'is available'],
  [/\blet(s|ting)? go\b/, 'release, resume'],
  [/\bhe\b|\bhis\b|\bhim(self)?\b|\bshe\b|\bher(s|self)?\b/, 'they, the caller, the user'],
  [/\bsa(y|ys|ying|id) so\b|\bout loud\b/, 'logs an error, reports'],
  [/\bkeepers?\b/, 'refresher'],
  [/\bheld tokens?\b/, 'cached token'],
  [/\bupkeep\b|\bresting\b/, 'housekeeping, unref’d'],
  [/\brooms?\b/, 'module (a folder), permit, limit'],
  [/\bcapacity\b/, 'limit, permits'],
  [
    /\b(empty|a|the|free|each|every|no|of|its|more) places?\b(?! (where|in|of|to|that|for)\b)/,
    'pooled connection, permit',
  ],
  [/\boutage gates?\b/, 'circuit breaker'],
  [/\bmeans? nothing to\b|\bmeant nothing to\b/, "Unknown option 'x' for ..."],
  [/\btakes? its way\b|\bmade for the occasion\b|\bunder .{1,30} thumb\b/, 'plain words'],
];

/** Text that a rule may not touch: names that others chose, and plain English that only looks alike. */
const ALLOWED = [/\bin (the )?place( of)?\b/g, /\b(took|take|takes|taken|taking) (the )?place\b/g];

const FILES =
  /^(src|docs|examples|test|bench|report|scripts|\.ci|\.github|\.devcontainer)\/|^[^/]+\.(md|mjs|cjs|ts|json|yml)$|^Dockerfile$/;
const TEXT =
  /\.(ts|mts|cts|tsx|js|mjs|cjs|jsx|md|json|css|html|yml|yaml|prisma|sh|sql|bicep|tf|py|go)$|\/[^./]+$|^Dockerfile$/;
const LEFT_OUT = /^package-lock\.json$|^scripts\/check-words\.mjs$|^bench\/results\.json$|^docs\/images\//;

/** What must be free of them: everything. */
const CLEAN = [''];

/** `heldToken`, `HELD_TOKEN` and `held-token` are read as `held token`. */
function words(line) {
  return line
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replaceAll(/[_-]/g, ' ')
    .toLowerCase();
}

export function findings(text) {
  return text.split('\n').flatMap((line, i) => {
    let read = words(line);
    for (const allowed of ALLOWED) read = read.replaceAll(allowed, '');
    return RULES.flatMap(([pattern, instead]) => {
      const found = pattern.exec(read);
      return found === null ? [] : [{ line: i + 1, word: found[0], instead, text: line.trim() }];
    });
  });
}

function folderOf(file) {
  const [first, second, third] = file.split('/');
  if (second === undefined) return '(top)';
  return third === undefined || first === 'docs' ? first : `${first}/${second}`;
}

function isUnder(file, folder) {
  return folder === '' || file === folder || file.startsWith(`${folder}/`);
}

const args = process.argv.slice(2);
const only = args.filter((arg) => !arg.startsWith('--'));
const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
  encoding: 'utf8',
})
  .split('\0')
  .filter((file) => FILES.test(file) && TEXT.test(file) && !LEFT_OUT.test(file))
  .filter((file) => only.length === 0 || only.some((path) => isUnder(file, path.replace(/\/$/, ''))));

const counts = new Map();
let wrong = 0;
for (const file of files) {
  let text;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    continue; // Deleted, not yet committed.
  }
  // A file name is read too.
  const found = [...findings(file).map((one) => ({ ...one, line: 0 })), ...findings(text)];
  const mustBeClean = CLEAN.some((folder) => isUnder(file, folder));
  counts.set(folderOf(file), (counts.get(folderOf(file)) ?? 0) + found.length);
  if (mustBeClean) wrong += found.length;
  if (mustBeClean || only.length > 0 || args.includes('--list')) {
    for (const { line, word, instead, text } of found) {
      console.log(`${file}:${line}: "${word}" (instead: ${instead})  ${text.slice(0, 140)}`);
    }
  }
}
const open = [...counts].filter(([, count]) => count > 0).sort(([, a], [, b]) => b - a);
if (open.length > 0) console.log(`Words to replace: ${open.map(([folder, count]) => `${folder} ${count}`).join(', ')}`);
if (wrong > 0) {
  console.error(`${wrong} left. Reword each as suggested.`);
  process.exitCode = 1;
}
