import type { ConnectionError as StockConnectionError } from 'mssql';
import {
  AbortedError,
  AcquireTimeoutError,
  CredentialError,
  EncryptionRequiredError,
  LoginRefusedError,
  PoolClosedError,
  ServerUnavailableError,
  TokenPoolError,
} from '../errors.js';
import type { Mssql } from './stock.js';

/**
 * mssql's ConnectionError with the details of our error: `code` is the driver's, `originalError` and `cause` are ours.
 */
export interface DetailedConnectionError extends StockConnectionError {
  /** SQL Server error number, e.g. 18456. */
  number?: number | undefined;
  /** SQL Server error state. */
  state?: number | undefined;
  /** SQL Server error class. */
  class?: number | undefined;
  /** What to do about it. */
  hint?: string | undefined;
  /** Milliseconds after which another attempt makes sense. */
  retryAfterMs?: number | undefined;
  /** The typed error of this library; its own `cause` is the driver's or the identity provider's. */
  cause?: unknown;
}

/** Turns an error of the pool into the `ConnectionError` that code written for mssql expects. */
export function toConnectionError(mssql: Mssql, error: unknown): Error {
  if (!(error instanceof TokenPoolError)) return error instanceof Error ? error : new Error(String(error));
  const shown = new mssql.ConnectionError(error) as DetailedConnectionError;
  shown.code = driverCode(error) as StockConnectionError['code'];
  Object.defineProperty(shown, 'cause', { value: error, configurable: true, writable: true });
  for (const key of ['number', 'state', 'class', 'hint', 'retryAfterMs'] as const) {
    if (error[key] !== undefined) Object.assign(shown, { [key]: error[key] });
  }
  return shown;
}

/** tedious's and mssql's codes have the form `ELOGIN`; those of Node.js (`ECONNREFUSED`) come wrapped in `ESOCKET`. */
const DRIVER_CODES = new Set([
  'ELOGIN',
  'ETIMEOUT',
  'ESOCKET',
  'EINSTLOOKUP',
  'EENCRYPT',
  'EFEDAUTH',
  'EPROTO',
  'ECLOSE',
]);

function driverCode(error: TokenPoolError): string {
  for (let at: unknown = error.cause; at instanceof Error; at = at.cause) {
    const { code } = at as { code?: unknown };
    if (typeof code === 'string' && DRIVER_CODES.has(code)) return code;
  }
  if (error instanceof CredentialError) return 'EFEDAUTH';
  if (error instanceof EncryptionRequiredError) return 'EENCRYPT';
  if (error instanceof LoginRefusedError) return 'ELOGIN';
  if (error instanceof ServerUnavailableError) return 'ESOCKET';
  if (error instanceof AcquireTimeoutError) return 'ETIMEOUT';
  if (error instanceof PoolClosedError) return 'ENOTOPEN';
  if (error instanceof AbortedError) return 'EABORT';
  return 'EDRIVER';
}
