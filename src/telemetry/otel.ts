/**
 * `mssql-token-pool/otel`: metrics and spans of all pools, in the names of OpenTelemetry's semantic conventions.
 *
 * @module mssql-token-pool/otel
 */
import type { Meter, Tracer } from '@opentelemetry/api';
import { requireKnownOptions } from '../known-options.js';
import { api } from './otel/api.js';
import { recordMetrics } from './otel/metrics.js';
import { recordOnce } from './otel/recordings.js';
import { recordSpans } from './otel/spans.js';

/** A `MeterProvider` of `@opentelemetry/api`; its types are not imported, so that they need not be installed. */
export interface MeterProviderLike {
  getMeter(name: string): object;
}

/** A `TracerProvider` of `@opentelemetry/api`, likewise. */
export interface TracerProviderLike {
  getTracer(name: string): object;
}

/** Where metrics and spans go. */
export interface InstrumentOptions {
  /** Default: the global meter provider. */
  meterProvider?: MeterProviderLike | undefined;
  /** Default: the global tracer provider. */
  tracerProvider?: TracerProviderLike | undefined;
}

/** A running instrumentation; made by {@link instrument}. */
export interface Instrumentation {
  /** Stops recording. */
  stop(): void;
  [Symbol.dispose](): void;
}

/** Name of the meter and the tracer. */
const SCOPE = 'mssql-token-pool';

/**
 * Reports every pool and token of this process to OpenTelemetry. Call it once, before pools are created: a pool that
 * already exists reports its events, but not its size. After a second call with the same providers, nothing is counted
 * twice. docs/telemetry.md lists the metrics and spans.
 *
 * Names are those of the semantic conventions for database client connection pools and for Microsoft SQL Server. The
 * conventions have no metrics for tokens; ours start with `mssql_token_pool`. No attribute carries a token or secret: an
 * identity is the name of its credential method and a hash.
 *
 * @example
 * import { instrument } from 'mssql-token-pool/otel';
 * instrument();
 */
export function instrument(options: InstrumentOptions = {}): Instrumentation {
  requireKnownOptions('instrument()', options, { meterProvider: true, tracerProvider: true });
  const { meterProvider, tracerProvider } = options;
  const meters = meterProvider ?? api.metrics.getMeterProvider();
  const stopMetrics = recordOnce('metrics', meters, () => recordMetrics(meters.getMeter(SCOPE) as Meter));
  // The API's tracer finds a provider that is registered later.
  const tracers = tracerProvider ?? api.trace;
  const stopSpans = recordOnce('spans', tracers, () => recordSpans(tracers.getTracer(SCOPE) as Tracer));
  const stop = (): void => {
    stopMetrics();
    stopSpans();
  };
  return { stop, [Symbol.dispose]: stop };
}
