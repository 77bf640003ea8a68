import type { Settings } from '../../connections/settings.js';
import type { Advice } from './advice.js';

/** Steps in their order. The exit code of a run is that of the step it stopped at. */
export const EXIT_CODES = {
  'name resolution': 10,
  TCP: 11,
  encryption: 12,
  certificate: 13,
  token: 14,
  login: 15,
  identity: 16,
  query: 17,
} as const;

export type StepName = keyof typeof EXIT_CODES;

/** The input of a step, and its results for later steps. */
export interface DoctorContext {
  readonly settings: Settings;
  readonly host: string;
  /** 1433, or the port that the SQL Server Browser reports for a named instance. */
  port: number;
  /** Longest a step may take, ms. */
  readonly timeoutMs: number;
  /** The local clock, epoch ms. */
  readonly now: () => number;
  readonly findings: Finding[];
}

/** Something to mention although the step succeeded. */
export interface Finding {
  text: string;
  /** A setting to use, such as `pool.min`. */
  setting?: { key: string; value: string | number | boolean } | undefined;
}

/** The result of a step: short lines for people, and the same as data for scripts. */
export interface StepResult {
  lines: string[];
  facts: Readonly<Record<string, unknown>>;
}

export interface StepReport extends StepResult {
  step: StepName;
  ok: boolean;
  /** ms */
  durationMs: number;
  /** For a failed step: what went wrong, the likely cause and what to do next. */
  failure?: (Advice & { message: string; code: string; number?: number; state?: number; aadsts?: number }) | undefined;
}

/** A problem that the doctor itself found, with its advice. */
export class StepFailure extends Error {
  override name = 'StepFailure';
  readonly code: string;
  readonly advice: Advice;

  constructor(message: string, code: string, advice: Advice) {
    super(message);
    this.code = code;
    this.advice = advice;
  }
}
