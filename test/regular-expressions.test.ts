import { readdirSync, readFileSync } from 'node:fs';
import { analyse } from 'scslre';
import ts from 'typescript';
import { expect, test } from 'vitest';

const SOURCE = new URL('../src/', import.meta.url);

/** Folders whose expressions have yet to be reviewed: the servers of the test kit, and server names. */
const PENDING = /^$/;

/** Every regular expression literal of a file, with its line. */
function literalsIn(name: string): { line: number; text: string }[] {
  const file = ts.createSourceFile(name, readFileSync(new URL(name, SOURCE), 'utf8'), ts.ScriptTarget.Latest, true);
  const found: { line: number; text: string }[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isRegularExpressionLiteral(node)) {
      found.push({ line: file.getLineAndCharacterOfPosition(node.getStart()).line + 1, text: node.text });
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

/** Whether the time of a match can grow faster than the length of the text. */
function isSuperLinear(literal: string): boolean {
  const end = literal.lastIndexOf('/');
  const { reports } = analyse({ source: literal.slice(1, end), flags: literal.slice(end + 1) }, { maxReports: 1 });
  return reports.length > 0;
}

test('finds vulnerable expressions', () => {
  expect(isSuperLinear(String.raw`/\s+(?=Trace ID:)/`)).toBe(true);
  expect(isSuperLinear('/^(a+)+$/')).toBe(true);
  expect(isSuperLinear(String.raw`/^[\w-]{1,64}$/`)).toBe(false);
});

test('no regular expression takes time that grows faster than its text', () => {
  const names = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
  const found = names.flatMap((name) =>
    literalsIn(name)
      .filter(({ text }) => isSuperLinear(text))
      .map(({ line, text }) => `${name}:${line} ${text}`),
  );
  expect(found.filter((each) => !PENDING.test(each)).sort()).toEqual([]);
});
