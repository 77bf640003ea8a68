import type { MeterProvider, TracerProvider } from '@opentelemetry/api';
import * as api from '@opentelemetry/api';
import { recordMetrics } from './otel/metrics.js';
import { recordSpans } from './otel/spans.js';

export interface InstrumentOptions {
  /** Default: the global meter provider. */
  meterProvider?: MeterProvider | undefined;
  /** Default: the global tracer provider. */
  tracerProvider?: TracerProvider | undefined;
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
 * already exists reports its events, but not its size. docs/telemetry.md lists the metrics and spans.
 *
 * Names are those of the semantic conventions for database client connection pools and for Microsoft SQL Server. The
 * conventions have no metrics for tokens; ours start with `mssql_token_pool`. No attribute carries a token or secret: an
 * identity is the name of its credential method and a hash.
 *
 * @example
 * import { instrument } from 'mssql-token-pool/otel';
 * instrument();
 */
export function instrument({ meterProvider, tracerProvider }: InstrumentOptions = {}): Instrumentation {
  const stopMetrics = recordMetrics((meterProvider ?? api.metrics).getMeter(SCOPE));
  const stopSpans = recordSpans((tracerProvider ?? api.trace).getTracer(SCOPE));
  const stop = (): void => {
    stopMetrics();
    stopSpans();
  };
  return { stop, [Symbol.dispose]: stop };
}
