import type { Examination } from './examine.js';
import type { StepReport } from './step.js';

const WIDTH = 16;

/** Text for people. `colour` turns colours on. */
export class Printer {
  readonly #write: (text: string) => void;
  readonly #colour: boolean;

  constructor(write: (text: string) => void, colour: boolean) {
    this.#write = write;
    this.#colour = colour;
  }

  step({ step, ok, lines, durationMs, failure }: StepReport): void {
    const mark = ok ? this.#paint(32, '✓') : this.#paint(31, '✗');
    const [first = '', ...rest] = failure === undefined ? lines : [failure.message];
    const time = this.#paint(2, `${durationMs} ms`);
    this.#write(`${mark} ${step.padEnd(WIDTH)} ${first}  ${time}\n`);
    for (const line of rest) this.#indented(line);
    if (failure === undefined) return;
    this.#write('\n');
    this.#write(`  ${this.#paint(1, 'Likely cause')}  ${failure.cause}\n`);
    this.#write(`  ${this.#paint(1, 'Next step')}     ${failure.next}\n`);
  }

  summary({ ok, findings, steps, recommended }: Examination): void {
    if (findings.length > 0) this.#write('\n');
    for (const { text } of findings) this.#write(`${this.#paint(33, '!')} ${text}\n`);
    if (!ok) return;
    const total = steps.reduce((sum, { durationMs }) => sum + durationMs, 0);
    const settings = Object.entries(recommended ?? {}).map(([key, value]) => `${key}: ${value}`);
    this.#write(`\nAll well, in ${total} ms. Recommended settings: ${settings.join(', ')}\n`);
  }

  #indented(line: string): void {
    this.#write(`  ${''.padEnd(WIDTH)} ${line}\n`);
  }

  #paint(code: number, text: string): string {
    return this.#colour ? `\u001b[${code}m${text}\u001b[0m` : text;
  }
}
