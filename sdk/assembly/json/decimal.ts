import { BigNumber } from "./big-number";

// AssemblyScript's own parseFloat is not correctly rounded, and wrong by powers of ten for some long mantissas.

const POWERS: StaticArray<f64> = [
  1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
  1e20, 1e21, 1e22,
];
/** Digits beyond these matter only by not being zero: no midpoint of two doubles has more. */
const MAX_DIGITS: i32 = 800;
const MAX_EXPONENT: i32 = 100000;
const LARGEST: u64 = 0x7fefffffffffffff;
const EXACT: u64 = 1 << 53;

/** The double nearest to the JSON number between two addresses, ties to even; infinite when it is too large. */
export function parseDecimal(start: usize, end: usize): f64 {
  const negative = load<u8>(start) == 0x2d;
  const decimal = new Decimal(start + usize(negative), end);
  const value = decimal.nearest();
  return negative ? -value : value;
}

class Decimal {
  private digits: u8[] = [];
  /** The value is the digits as an integer, times ten to this power. */
  private exponent: i32 = 0;

  constructor(start: usize, end: usize) {
    let at = start;
    let isFraction = false;
    let isCut = false;
    for (; at < end; at++) {
      const byte = load<u8>(at);
      if (byte == 0x2e) {
        isFraction = true;
        continue;
      }
      if (byte < 0x30 || byte > 0x39) break;
      if (this.digits.length < MAX_DIGITS) {
        if (byte != 0x30 || this.digits.length > 0) this.digits.push(byte - 0x30);
        if (isFraction) this.exponent--;
      } else {
        if (byte != 0x30) isCut = true;
        if (!isFraction) this.exponent++;
      }
    }
    if (isCut) this.digits[MAX_DIGITS - 1] |= 1;
    if (at < end) this.exponent += parseExponent(at + 1, end);
  }

  nearest(): f64 {
    const count = this.digits.length;
    if (count == 0 || count + this.exponent < -330) return 0;
    if (count + this.exponent > 310) return Infinity;
    const mantissa = this.leadingDigits(min(count, 19));
    if (count <= 19 && mantissa <= EXACT && abs(this.exponent) <= 22)
      return scale(mantissa as f64, this.exponent);
    return this.correct(scale(mantissa as f64, this.exponent + max(count - 19, 0)));
  }

  private leadingDigits(count: i32): u64 {
    let value: u64 = 0;
    for (let i = 0; i < count; i++) value = value * 10 + this.digits[i];
    return value;
  }

  /** Moves an estimate that is a few units off to the nearest double, by exact comparison with the midpoints. */
  private correct(estimate: f64): f64 {
    let bits = min(reinterpret<u64>(estimate), LARGEST);
    for (let step = 0; step < 64; step++) {
      const above = this.compareWithMidpointAbove(bits);
      if (above > 0 || (above == 0 && (bits & 1) == 1)) {
        bits++;
        if (above == 0 || bits > LARGEST) break;
        continue;
      }
      if (bits == 0) break;
      const below = this.compareWithMidpointAbove(bits - 1);
      if (below > 0 || (below == 0 && (bits & 1) == 0)) break;
      bits--;
      if (below == 0) break;
    }
    return reinterpret<f64>(bits);
  }

  /** Sign of this number minus the middle between the double of these bits and the next one. */
  private compareWithMidpointAbove(bits: u64): i32 {
    const field = (bits >> 52) as i32;
    const fraction = bits & 0xfffffffffffff;
    const mantissa = field == 0 ? fraction : fraction | 0x10000000000000;
    const binaryExponent = max(field, 1) - 1076;
    const mine = BigNumber.ofDigits(this.digits);
    const middle = BigNumber.ofInteger(2 * mantissa + 1);
    if (this.exponent >= 0) mine.multiplyByPowerOfTen(this.exponent);
    else middle.multiplyByPowerOfTen(-this.exponent);
    if (binaryExponent >= 0) middle.shiftLeft(binaryExponent);
    else mine.shiftLeft(-binaryExponent);
    return mine.compare(middle);
  }
}

function parseExponent(start: usize, end: usize): i32 {
  const sign = load<u8>(start);
  let exponent = 0;
  for (let at = start + usize(sign == 0x2b || sign == 0x2d); at < end; at++) {
    exponent = min(exponent * 10 + (load<u8>(at) as i32) - 0x30, MAX_EXPONENT);
  }
  return sign == 0x2d ? -exponent : exponent;
}

/** `value` times a power of ten; exact when one step of an exact value is enough. */
function scale(value: f64, exponent: i32): f64 {
  let result = value;
  let rest = abs(exponent);
  while (rest > 0) {
    const step = min(rest, 22);
    result = exponent > 0 ? result * POWERS[step] : result / POWERS[step];
    rest -= step;
  }
  return result;
}
