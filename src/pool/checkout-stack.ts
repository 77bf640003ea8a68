import { sep } from 'node:path';
import { redact } from '../credentials/entra/redact.js';

/** Frames to capture. An ORM has many frames between the pool and the calling code. */
const FRAMES = 30;
/** A frame is a function and its location. */
const LONGEST_FRAME = 300;
const LONGEST_LINE = 2_000;
/** Frames to report. */
const FRAMES_SHOWN = 20;

/** Code that does not belong to the application: Node itself, and installed packages. */
const NOT_THE_APPLICATION = /\b(?:node:|node_modules[\\/])|^(?:new )?Promise |<anonymous>\)?$|\(native\)$/;

/**
 * The stack of a checkout. Its text is produced when it is first read, which happens only for connections that are reported
 * or listed.
 *
 * A stack names functions and files. It has no message, and anything secret in a file name is removed (P10): the
 * content of a `data:` URL, a query, text that looks like a token.
 */
export class CheckoutStack {
  #captured: { stack?: unknown } | undefined;
  #frames: readonly string[] = [];

  /** @param below the function whose callers are of interest */
  constructor(below: (...args: never[]) => unknown) {
    const captured: { stack?: unknown } = {};
    withMoreFrames(() => Error.captureStackTrace(captured, below));
    this.#captured = captured;
  }

  /** One frame per line, the innermost first; undefined if there are none. */
  get text(): string | undefined {
    const frames = this.#read();
    return frames.length === 0 ? undefined : frames.slice(0, FRAMES_SHOWN).join('\n');
  }

  /** The first frame of the application, otherwise the innermost one. */
  get holder(): string | undefined {
    const frames = this.#read();
    return frames.find((frame) => !NOT_THE_APPLICATION.test(frame)) ?? frames[0];
  }

  #read(): readonly string[] {
    const captured = this.#captured;
    if (captured === undefined) return this.#frames;
    this.#captured = undefined;
    this.#frames = linesOf(captured)
      .filter((line) => !isOurs(line))
      .map(readable);
    return this.#frames;
  }
}

/** `Error.stackTraceLimit` is 10 by default, and cannot be set if intrinsics are frozen. */
function withMoreFrames(capture: () => void): void {
  const { stackTraceLimit } = Error;
  try {
    Error.stackTraceLimit = FRAMES;
  } catch {
    capture();
    return;
  }
  capture();
  Error.stackTraceLimit = stackTraceLimit;
}

/** The application may have its own `Error.prepareStackTrace`, which may throw or return anything. */
function linesOf(captured: { stack?: unknown }): string[] {
  let text: unknown;
  try {
    text = captured.stack;
  } catch {
    return [];
  }
  if (typeof text !== 'string') return [];
  const lines = text.slice(0, FRAMES * LONGEST_LINE).split('\n', FRAMES + 1);
  return lines.map((line) => line.trim()).flatMap((line) => (line.startsWith('at ') ? [line.slice(3)] : []));
}

function readable(line: string): string {
  const frame = line.slice(0, LONGEST_LINE).replace(/\bdata:[^\s)]*/g, 'data:');
  const short = withoutQuery(frame).replace('file://', '').replace(workingFolder(), '');
  return redact(short).slice(0, LONGEST_FRAME);
}

/** `import('./orders.js?key=value')` creates a module whose name includes the query. */
function withoutQuery(frame: string): string {
  const scheme = frame.indexOf('://');
  const query = scheme < 0 ? -1 : frame.slice(scheme).search(/[?#]/);
  if (query < 0) return frame;
  const position = /:\d{1,9}:\d{1,9}\)?$/.exec(frame)?.[0] ?? '';
  return frame.slice(0, scheme + query) + position;
}

/** Empty if it has been deleted. */
function workingFolder(): string {
  try {
    return `${process.cwd()}${sep}`;
  } catch {
    return '';
  }
}

/** The folder of this package, as the first stack shows it. */
let ownFolder: string | undefined;

function isOurs(line: string): boolean {
  ownFolder ??= findOwnFolder();
  return ownFolder !== '' && line.includes(ownFolder);
}

function findOwnFolder(): string {
  const captured: { stack?: unknown } = {};
  Error.captureStackTrace(captured);
  return folderOfPackage(linesOf(captured)[0] ?? '');
}

/**
 * The folder of this package in a frame of this file: the installed package, or its sources, which are not in node_modules. Empty
 * if the application is bundled into one file, where our frames look like those of the application.
 */
export function folderOfPackage(frame: string): string {
  const place = frame.slice(frame.indexOf('(') + 1);
  const installed = /^.*[\\/]node_modules[\\/]mssql-token-pool[\\/]/.exec(place)?.[0];
  return installed ?? place.slice(0, place.search(/[\\/]pool[\\/]checkout-stack\.[cm]?[jt]s:/) + 1);
}
