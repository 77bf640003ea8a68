import { validateHeaderName, validateHeaderValue } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { BOOLEAN, FUNCTION, NUMBER, OBJECT, type OptionNames, requireKnownOptions } from '../known-options.js';
import { type AadstsNumber, isKnownRefusal } from './refusal.js';
import type { EntraEndpoint, EntraRequest } from './request.js';

/**
 * How requests fail. With `delayMs` alone, the answer is correct but late.
 *
 * @example
 * entra.fail({ status: 503 });                                  // an outage, until heal()
 * entra.fail({ status: 429, retryAfter: 7, count: 1 });         // throttled once
 * entra.fail({ aadsts: 53003, when: (r) => r.userName === ada.userName });
 */
export interface Fault {
  /** HTTP status of the answer, e.g. 429 or 503. */
  status?: number | undefined;
  /** Refuse with this AADSTS number, Entra's message and its status, e.g. 53003 (conditional access). */
  aadsts?: AadstsNumber | undefined;
  /** `Retry-After` header: seconds, a Date (sent as HTTP-date) or text sent verbatim. */
  retryAfter?: number | Date | string | undefined;
  /** Text is sent as HTML, an object as JSON. Default: Entra's own error. The status defaults to 503. */
  body?: string | Readonly<Record<string, unknown>> | undefined;
  /** More response headers. */
  headers?: Readonly<Record<string, string>> | undefined;
  /** Never answer; the socket stays open. */
  hang?: boolean | undefined;
  /** Reset the TCP connection instead of answering. */
  reset?: boolean | undefined;
  /** Wait this long before the answer or reset, ms. */
  delayMs?: number | undefined;
  /** How many requests fail. Default: all until `heal()`. */
  count?: number | undefined;
  /**
   * Which requests fail. Default: every token request. `when` is also called for discovery (`endpoint: 'discovery'`),
   * keys and sign-in pages.
   */
  when?: ((request: EntraRequest) => boolean) | undefined;
}

/**
 * An active fault.
 *
 * @example
 * const outage = entra.fail({ reset: true });
 * await expect.poll(() => outage.hits).toBeGreaterThan(2);
 * outage.heal();
 */
export interface ActiveFault {
  /** How many requests it has affected. */
  readonly hits: number;
  /** Ends this fault only. */
  heal(): void;
}

/** What a fault does to one request; undefined means answer normally. */
export type Misfortune =
  | { kind: 'hang' }
  | { kind: 'reset' }
  | {
      kind: 'answer';
      status: number | undefined;
      aadsts: AadstsNumber | undefined;
      headers: Record<string, string>;
      body: Fault['body'];
    };

/** The active faults, oldest first; the first that matches a request applies. */
export class Faults {
  #active: { fault: Fault; hits: number }[] = [];

  add(fault: Fault): ActiveFault {
    assertFault(fault);
    const entry = { fault: { ...fault }, hits: 0 };
    this.#active.push(entry);
    return {
      get hits() {
        return entry.hits;
      },
      heal: () => {
        this.#active = this.#active.filter((other) => other !== entry);
      },
    };
  }

  clear(): void {
    this.#active = [];
  }

  /** Waits for the delay of the fault that applies to this request, then returns its outcome. */
  async strike(request: EntraRequest): Promise<Misfortune | undefined> {
    const entry = this.#active.find(({ fault, hits }) => hits < (fault.count ?? Infinity) && matches(fault, request));
    if (entry === undefined) return undefined;
    entry.hits += 1;
    const { fault } = entry;
    if (fault.delayMs !== undefined) await sleep(fault.delayMs, undefined, { ref: false });
    if (fault.hang) return { kind: 'hang' };
    if (fault.reset) return { kind: 'reset' };
    const { status, aadsts, body } = fault;
    if (status === undefined && aadsts === undefined && body === undefined) return undefined;
    return { kind: 'answer', status, aadsts, headers: headersOf(fault), body };
  }
}

const FAULT_OPTIONS: OptionNames<Fault> = {
  status: NUMBER,
  aadsts: true,
  retryAfter: {
    is: (value) => typeof value === 'string' || Number.isFinite(Number(value)),
    must: 'seconds, a Date or a string',
  },
  body: { is: (value) => typeof value === 'string' || OBJECT.is(value), must: 'a string or an object' },
  headers: OBJECT,
  hang: BOOLEAN,
  reset: BOOLEAN,
  delayMs: NUMBER,
  count: NUMBER,
  when: FUNCTION,
};

function assertFault(fault: Fault): void {
  requireKnownOptions('fail', fault, FAULT_OPTIONS);
  const { status, count, delayMs } = fault;
  const effects = [status, fault.aadsts, fault.body, fault.hang, fault.reset, delayMs];
  if (effects.every((effect) => effect === undefined)) {
    throw new TypeError('A fault needs one of status, aadsts, body, hang, reset or delayMs');
  }
  if (status !== undefined && !(Number.isInteger(status) && status >= 200 && status <= 599)) {
    throw new RangeError(`status is ${status}; it must be an HTTP status from 200 to 599`);
  }
  if (count !== undefined && !(Number.isInteger(count) && count > 0)) {
    throw new RangeError(`count is ${count}; it must be a whole number greater than 0`);
  }
  if (delayMs !== undefined && !(delayMs >= 0 && delayMs <= MAX_DELAY_MS)) {
    throw new RangeError(`delayMs is ${delayMs}; it must be from 0 to ${MAX_DELAY_MS}`);
  }
  if (fault.aadsts !== undefined && !isKnownRefusal(fault.aadsts)) {
    throw new RangeError('aadsts must be one of the AADSTS numbers that the emulator has an answer for');
  }
  for (const [name, value] of Object.entries(headersOf(fault))) {
    try {
      validateHeaderName(name);
      validateHeaderValue(name, String(value));
    } catch {
      throw new RangeError(`The header ${JSON.stringify(name.slice(0, 100))} or its value is not allowed in HTTP`);
    }
  }
}

/** The longest timer Node supports. */
const MAX_DELAY_MS = 2 ** 31 - 1;

const TOKEN_ENDPOINTS = new Set<EntraEndpoint>(['token', 'managed-identity', 'imds-probe', 'devicecode']);

function matches(fault: Fault, request: EntraRequest): boolean {
  if (fault.when !== undefined) return fault.when(request);
  return TOKEN_ENDPOINTS.has(request.endpoint);
}

function headersOf(fault: Fault): Record<string, string> {
  const { retryAfter } = fault;
  if (retryAfter === undefined) return { ...fault.headers };
  const text = retryAfter instanceof Date ? retryAfter.toUTCString() : String(retryAfter);
  return { 'Retry-After': text, ...fault.headers };
}
