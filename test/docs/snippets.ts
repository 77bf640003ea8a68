import { readdirSync, readFileSync } from 'node:fs';
import { transform } from 'esbuild';

const ROOT = new URL('../../', import.meta.url);

export interface Snippet {
  /** First line of the code in its page. */
  line: number;
  code: string;
  /** Why it is not run, if it is not. */
  notRun: string | undefined;
}

/** README and every page of docs/. */
export function pages(): string[] {
  const docs = readdirSync(new URL('docs/', ROOT)).filter((name) => name.endsWith('.md'));
  return ['README.md', ...docs.sort().map((name) => `docs/${name}`)].filter((page) => read(page) !== undefined);
}

/**
 * The TypeScript and JavaScript of a page. A comment right before a snippet may say `not run: reason`, or hold code that
 * the reader need not see: `before: const app = express();`.
 */
export function snippetsOf(page: string): Snippet[] {
  const text = read(page) ?? '';
  const fence = /^([ \t]*)```(?:ts|js|mjs|typescript|javascript)\b[^\n]*\n([\s\S]*?)^\1```/gm;
  return [...text.matchAll(fence)].map(({ index, 2: code = '' }) => {
    const above = text.slice(0, index);
    const comment = /<!--\s*(not run|before):\s*((?:(?!-->)[\s\S])*?)\s*-->\s*$/.exec(above);
    const line = above.split('\n').length + 1;
    const [, kind, said = ''] = comment ?? [];
    return { line, code: kind === 'before' ? `${said}\n${code}` : code, notRun: kind === 'not run' ? said : undefined };
  });
}

/** As JavaScript that this Node can run, with the example server replaced by one that is there. */
export async function runnable({ code }: Snippet, port: number): Promise<string> {
  const { code: script } = await transform(code, { loader: 'ts', format: 'esm', target: 'node20' });
  return script
    .replace(/server: (["'])[\w.-]+\.database\.windows\.net\1/g, `server: "localhost", port: ${port}`)
    .replace(/(Server=(?:tcp:)?)[\w.-]+\.database\.windows\.net(,\d+)?/gi, `$1localhost,${port}`);
}

function read(page: string): string | undefined {
  try {
    return readFileSync(new URL(page, ROOT), 'utf8');
  } catch {
    return undefined;
  }
}
