/**
 * The milliseconds that a `Retry-After` header (RFC 9110 §10.2.3) asks to wait: seconds, or a date of HTTP. Undefined
 * for anything else.
 */
export function parseRetryAfter(text: string | undefined, now: number = Date.now()): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text.trim())) return Number(text) * 1000;
  const date = / GMT$/.test(text.trim()) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
