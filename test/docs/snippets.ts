import { readdirSync, readFileSync } from 'node:fs';
import { transform } from 'esbuild';

export const ROOT = new URL('../../', import.meta.url);

export interface Snippet {
  /** First line of the code in its page. */
  line: number;
  /** With what is hidden around it. */
  code: string;
  /** What the reader sees of it. */
  shown: string;
  /** Requirements for running it: `redis`, `Node.js 22`. */
  needs: string | undefined;
}

/** README and every page of docs/. */
export function pages(): string[] {
  const docs = readdirSync(new URL('docs/', ROOT)).filter((name) => name.endsWith('.md'));
  return ['README.md', ...docs.sort().map((name) => `docs/${name}`)];
}

/**
 * The TypeScript and JavaScript of a page. Comments right above a snippet hold what the reader need not see: code `before:`
 * and `after:` it (`before: const app = express();`), or what it `needs:`.
 */
export function snippetsOf(page: string): Snippet[] {
  return fencesOf(page, /ts|js|mjs|typescript|javascript/).map(({ line, code, said }) => {
    const { before = '', after = '', needs } = said;
    return { line, code: `${before}\n${code}\n${after}`, shown: code, needs };
  });
}

/** Each command of the shell snippets of a page, its continued lines joined. */
export function commandsOf(page: string): string[] {
  return fencesOf(page, /sh|bash|console|(?=\n)/).flatMap(({ code }) =>
    code
      .replaceAll(/\\\n\s*/g, '')
      .split('\n')
      .map((line) => line.replace(/\s+#.*/, '').trim())
      .filter((line) => line !== ''),
  );
}

interface Fence {
  line: number;
  code: string;
  said: Partial<Record<string, string>>;
}

function fencesOf(page: string, language: RegExp): Fence[] {
  const text = read(page);
  const fences = /^([ \t]*)```(\w*)[^\n]*\n([\s\S]*?)^\1```/gm;
  const wanted = new RegExp(`^(?:${language.source.replace('(?=\\n)', '')})$`);
  return [...text.matchAll(fences)]
    .filter(([, , name = '']) => wanted.test(name))
    .map(({ index, 3: code = '' }) => {
      const above = text.slice(0, index);
      return { line: above.split('\n').length + 1, code, said: commentsAtTheEndOf(above) };
    });
}

function commentsAtTheEndOf(text: string): Fence['said'] {
  const said: Fence['said'] = {};
  let above = text;
  for (;;) {
    const comment = /<!--\s*([a-z ]+):((?:(?!-->)[\s\S])*?)-->\s*$/.exec(above);
    if (comment === null) return said;
    said[comment[1] as string] = (comment[2] as string).trim();
    above = above.slice(0, comment.index);
  }
}

/** As JavaScript that this Node can run. */
export async function runnable({ code }: Snippet): Promise<string> {
  return (await transform(code, { loader: 'ts', format: 'esm', target: 'node20' })).code;
}

export function read(page: string): string {
  return readFileSync(new URL(page, ROOT), 'utf8');
}
