/** `Retry-After` in ms: delta-seconds or an HTTP date (RFC 9110 section 10.2.3); undefined where it says neither. */
export function retryAfterMs(header: string | null | undefined): number | undefined {
  if (header === undefined || header === null) return undefined;
  const text = header.trim();
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  const at = /[a-z]/i.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(at) ? undefined : Math.max(0, at - Date.now());
}
