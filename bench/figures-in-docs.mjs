// Prints a table of figures as Markdown. With --write, it also replaces the table in its page, between
// `<!-- figures of NAME -->` and `<!-- end of figures -->`.
import { readFileSync, writeFileSync } from 'node:fs';

/** `rows`: one object per row, all with the same keys. */
export function publishFigures(page, name, rows, { write, print = true }) {
  const headings = Object.keys(rows[0]);
  const cells = [headings, ...rows.map((row) => Object.values(row).map(String))];
  const widths = headings.map((_, i) => Math.max(3, ...cells.map((row) => row[i].length)));
  const line = (row) => `| ${row.map((cell, i) => cell.padEnd(widths[i])).join(' | ')} |`;
  const [head, ...body] = cells.map(line);
  const table = [head, line(widths.map((width) => '-'.repeat(width))), ...body].join('\n');
  if (print) console.log(`\n${table}\n`);
  if (!write) return;
  const url = new URL(`../docs/${page}`, import.meta.url);
  const text = readFileSync(url, 'utf8');
  const [start, end] = [`<!-- figures of ${name} -->`, '<!-- end of figures -->'];
  const from = text.indexOf(start);
  const to = text.indexOf(end, from);
  if (from === -1 || to === -1) throw new Error(`docs/${page} has no place for the figures of ${name}`);
  writeFileSync(url, `${text.slice(0, from + start.length)}\n\n${table}\n\n${text.slice(to)}`);
}
