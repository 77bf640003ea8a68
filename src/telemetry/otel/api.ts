import { require } from '../../require.js';
import { requirePeer } from '../../require-peer.js';

/** OpenTelemetry's API, which the application installs. */
export const api = requirePeer<typeof import('@opentelemetry/api')>(
  () => require('@opentelemetry/api'),
  '@opentelemetry/api',
  'otel',
);
