/** A whole number that was read from a text. */
export class Integer {
  constructor(readonly value: i64) {}
}

const MAX_DIGITS = 18;

/** Reads an optional sign and decimal digits; null for any other text, and for more than 18 significant digits. */
export function parseInteger(text: string): Integer | null {
  const first = text.length > 0 ? text.charCodeAt(0) : 0;
  const negative = first == 0x2d;
  const start = negative || first == 0x2b ? 1 : 0;
  if (start == text.length) return null;
  let value: i64 = 0;
  let digits = 0;
  for (let i = start; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return null;
    if (digit > 0 || digits > 0) digits++;
    if (digits > MAX_DIGITS) return null;
    value = value * 10 + digit;
  }
  return new Integer(negative ? -value : value);
}
