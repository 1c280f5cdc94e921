const BILLION: u32 = 1000000000;

/** A natural number of any size, as far as reading decimal numbers needs it. */
export class BigNumber {
  /** Base 2^32, least significant first, without leading zeros. */
  private limbs: u32[] = [];

  static ofDigits(digits: u8[]): BigNumber {
    const number = new BigNumber();
    for (let i = 0; i < digits.length; i++) number.multiplyAdd(10, digits[i]);
    return number;
  }

  static ofInteger(value: u64): BigNumber {
    const number = new BigNumber();
    number.limbs.push(value as u32);
    if (value >> 32 != 0) number.limbs.push((value >> 32) as u32);
    return number;
  }

  multiplyByPowerOfTen(exponent: i32): void {
    let rest = exponent;
    for (; rest >= 9; rest -= 9) this.multiplyAdd(BILLION, 0);
    for (; rest > 0; rest--) this.multiplyAdd(10, 0);
  }

  shiftLeft(bits: i32): void {
    let rest = bits;
    for (; rest >= 31; rest -= 31) this.multiplyAdd(0x80000000, 0);
    if (rest > 0) this.multiplyAdd(1 << rest, 0);
  }

  /** Negative, zero or positive, as this number is less than, equal to or greater than the other one. */
  compare(other: BigNumber): i32 {
    const difference = this.limbs.length - other.limbs.length;
    if (difference != 0) return difference;
    for (let i = this.limbs.length - 1; i >= 0; i--) {
      if (this.limbs[i] != other.limbs[i]) return this.limbs[i] > other.limbs[i] ? 1 : -1;
    }
    return 0;
  }

  private multiplyAdd(factor: u32, addend: u32): void {
    let carry: u64 = addend;
    for (let i = 0; i < this.limbs.length; i++) {
      carry += (this.limbs[i] as u64) * factor;
      this.limbs[i] = carry as u32;
      carry >>= 32;
    }
    if (carry != 0) this.limbs.push(carry as u32);
  }
}
