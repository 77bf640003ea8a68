import type { Connection } from 'tedious';
import type { Settings } from '../../connections/settings.js';
import { redact } from '../../credentials/entra/redact.js';
import { adviceFor, type Failure } from './advice.js';
import { askEncryption, inspectCertificate } from './encryption.js';
import { askWho, logIn, runQuery } from './login.js';
import { reachPort, resolveName } from './reach.js';
import {
  type DoctorContext,
  EXIT_CODES,
  type Finding,
  StepFailure,
  type StepName,
  type StepReport,
  type StepResult,
} from './step.js';
import { fetchToken } from './token.js';

export interface ExamineOptions {
  /** Longest time for a step, ms. */
  timeoutMs: number;
  /** Called when a step has ended. */
  onStep: (report: StepReport) => void;
  /** What is known before the first step. Default nothing. */
  findings?: readonly Finding[] | undefined;
  /** The local clock, epoch ms. Default `Date.now`. */
  now?: (() => number) | undefined;
}

export interface Examination {
  ok: boolean;
  exitCode: number;
  steps: StepReport[];
  /** Findings besides the failure: what to fix or set. */
  findings: Finding[];
  /** Recommended settings for this server and network, if all steps succeed. */
  recommended?: Readonly<Record<string, string | number | boolean>> | undefined;
}

/** Under load, a login may take longer by this factor. */
const BAD_DAY = 20;
const DEFAULT_CONNECT_TIMEOUT_MS = 15_000;

/** Diagnoses a login step by step, up to the first step that fails. */
export async function examine(settings: Settings, options: ExamineOptions): Promise<Examination> {
  const { configuration } = settings;
  const context: DoctorContext = {
    settings,
    host: configuration.server,
    port: configuration.options?.port ?? 1433,
    timeoutMs: options.timeoutMs,
    now: options.now ?? Date.now,
    findings: [...(options.findings ?? [])],
  };
  const steps: StepReport[] = [];
  let connection: Connection | undefined;

  const step = async (name: StepName, work: () => Promise<StepResult>): Promise<boolean> => {
    const startedAt = performance.now();
    const report = await work().then(
      (result): Omit<StepReport, 'durationMs'> => ({ step: name, ok: true, ...result }),
      (error: unknown) => ({ step: name, ok: false, lines: [], facts: {}, failure: failureOf(error) }),
    );
    const timed = { ...report, durationMs: Math.round(performance.now() - startedAt) };
    steps.push(timed);
    options.onStep(timed);
    return timed.ok;
  };
  const opened = async (): Promise<StepResult> => {
    const { result, connection: open } = await logIn(context);
    connection = open;
    return result;
  };

  const way: [StepName, () => Promise<StepResult>][] = [
    ['name resolution', () => resolveName(context)],
    ['TCP', () => reachPort(context)],
    ['encryption', () => askEncryption(context)],
    ['certificate', () => inspectCertificate(context)],
    ['token', () => fetchToken(context)],
    ['login', opened],
    ['identity', () => askWho(context, connection as Connection)],
    ['query', () => runQuery(context, connection as Connection)],
  ];
  // The port of a named instance comes from the SQL Server Browser, which only the driver queries.
  const known = configuration.options?.instanceName === undefined;
  const probes: StepName[] = ['TCP', 'encryption', 'certificate'];
  try {
    for (const [name, work] of way) {
      if (!known && probes.includes(name)) continue;
      if (!(await step(name, work))) {
        return { ok: false, exitCode: EXIT_CODES[name], steps, findings: context.findings };
      }
    }
    return { ok: true, exitCode: 0, steps, findings: context.findings, recommended: recommend(context, steps) };
  } finally {
    connection?.close();
  }
}

function recommend({ settings, findings }: DoctorContext, steps: readonly StepReport[]): Examination['recommended'] {
  const { encrypt = true } = settings.configuration.options as { encrypt?: boolean | string };
  const loginMs = Number(steps.find(({ step }) => step === 'login')?.facts.loginMs);
  const timeout = Math.ceil((loginMs * BAD_DAY) / 5_000) * 5_000;
  return {
    encrypt,
    trustServerCertificate: false,
    connectionTimeout: Math.max(DEFAULT_CONNECT_TIMEOUT_MS, timeout),
    'pool.min': settings.pool.min,
    ...Object.fromEntries(findings.flatMap(({ setting }) => (setting ? [[setting.key, setting.value]] : []))),
  };
}

function failureOf(thrown: unknown): StepReport['failure'] {
  const error = realCause(thrown);
  const { number, state, aadsts } = error;
  const advice = thrown instanceof StepFailure ? thrown.advice : adviceFor(error);
  return {
    // Our own messages are free of secrets; those of the driver or the system are redacted.
    message: redact(error.message || String(error.code ?? thrown)),
    code: error.code ?? 'ERR_UNKNOWN',
    ...(number === undefined ? {} : { number }),
    ...(state === undefined ? {} : { state }),
    ...(aadsts === undefined ? {} : { aadsts }),
    ...advice,
  };
}

/** Node tries several addresses and wraps their failures (happy eyeballs). */
function realCause(thrown: unknown): Failure & Error {
  const errors = (thrown as { errors?: unknown }).errors;
  if (Array.isArray(errors) && errors[0] instanceof Error) return errors[0];
  return thrown as Failure & Error;
}
