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

/** Ends what {@link instrument} started. */
export interface Instrumentation {
  stop(): void;
  [Symbol.dispose](): void;
}

/** Name of the meter and the tracer. */
const SCOPE = 'mssql-token-pool';

/**
 * Gives every pool and token of this process to OpenTelemetry. Call it once, before pools are made; a pool that is older
 * shows its events, but not its size. docs/operating.md lists the metrics.
 *
 * Names are those of the semantic conventions for database client connection pools; those of tokens, which the
 * conventions do not know, start with `mssql_token_pool`. No label or attribute carries a token or secret: an identity
 * is a way of signing in and a hash.
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
