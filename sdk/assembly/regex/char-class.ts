/** Largest code point. */
export const MAX_POINT: i32 = 0x10ffff;

// Low, high, distance to another letter of the same kind: ASCII and Latin-1, with the letters elsewhere that Unicode's simple
// folding puts beside them.
const FOLDS: StaticArray<i32> = [
  0x41, 0x5a, 0x20, 0x61, 0x7a, -0x20, 0x4b, 0x4b, 0x20df, 0x6b, 0x6b, 0x20bf, 0x212a, 0x212a, -0x20df,
  0x212a, 0x212a, -0x20bf, 0x53, 0x53, 0x12c, 0x73, 0x73, 0x10c, 0x17f, 0x17f, -0x12c, 0x17f, 0x17f, -0x10c,
  0xb5, 0xb5, 0x2e7, 0xb5, 0xb5, 0x307, 0x39c, 0x39c, -0x2e7, 0x39c, 0x39c, 0x20, 0x3bc, 0x3bc, -0x307, 0x3bc,
  0x3bc, -0x20, 0xc0, 0xd6, 0x20, 0xd8, 0xde, 0x20, 0xe0, 0xf6, -0x20, 0xf8, 0xfe, -0x20, 0xc5, 0xc5, 0x2066,
  0xe5, 0xe5, 0x2046, 0x212b, 0x212b, -0x2066, 0x212b, 0x212b, -0x2046, 0xdf, 0xdf, 0x1dbf, 0x1e9e, 0x1e9e,
  -0x1dbf, 0xff, 0xff, 0x79, 0x178, 0x178, -0x79,
];

/** A set of code points that is being put together. */
export class CharClass {
  /** Low and high end of each range, in any order. */
  private ranges: i32[] = [];

  add(low: i32, high: i32): void {
    this.ranges.push(low);
    this.ranges.push(high);
  }

  addAll(ranges: i32[]): void {
    for (let i = 0; i < ranges.length; i++) this.ranges.push(ranges[i]);
  }

  /** Adds the other case of each letter. */
  fold(): void {
    const count = this.ranges.length;
    for (let i = 0; i < count; i += 2) {
      for (let k = 0; k < FOLDS.length; k += 3) {
        const low = max(this.ranges[i], FOLDS[k]);
        const high = min(this.ranges[i + 1], FOLDS[k + 1]);
        if (low <= high) this.add(low + FOLDS[k + 2], high + FOLDS[k + 2]);
      }
    }
  }

  negate(): void {
    const ranges = this.sorted();
    this.ranges = [];
    let next = 0;
    for (let i = 0; i < ranges.length; i += 2) {
      if (ranges[i] > next) this.add(next, ranges[i] - 1);
      next = ranges[i + 1] + 1;
    }
    if (next <= MAX_POINT) this.add(next, MAX_POINT);
  }

  /** The ranges in order, apart from each other. */
  sorted(): i32[] {
    this.sort();
    const merged: i32[] = [];
    for (let i = 0; i < this.ranges.length; i += 2) {
      const low = this.ranges[i];
      const high = this.ranges[i + 1];
      const last = merged.length - 1;
      if (last > 0 && low <= merged[last] + 1) merged[last] = max(merged[last], high);
      else {
        merged.push(low);
        merged.push(high);
      }
    }
    return merged;
  }

  /** Sorts the ranges by their low ends: they are few, and nearly in order. */
  private sort(): void {
    const ranges = this.ranges;
    for (let i = 2; i < ranges.length; i += 2) {
      const low = ranges[i];
      const high = ranges[i + 1];
      let at = i;
      for (; at > 0 && ranges[at - 2] > low; at -= 2) {
        ranges[at] = ranges[at - 2];
        ranges[at + 1] = ranges[at - 1];
      }
      ranges[at] = low;
      ranges[at + 1] = high;
    }
  }
}

/** Whether sorted ranges have a code point. */
export function hasPoint(ranges: StaticArray<i32>, point: i32): bool {
  let low = 0;
  let high = ranges.length >> 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (point > ranges[2 * middle + 1]) low = middle + 1;
    else high = middle;
  }
  return 2 * low < ranges.length && ranges[2 * low] <= point;
}

/** Ranges of `\d`, `\s` and `\w`, by the letter in lower case; none for any other letter. */
export function perlClass(letter: i32): i32[] {
  if (letter == 0x64) return [0x30, 0x39];
  if (letter == 0x73) return [0x09, 0x0a, 0x0c, 0x0d, 0x20, 0x20];
  if (letter == 0x77) return [0x30, 0x39, 0x41, 0x5a, 0x5f, 0x5f, 0x61, 0x7a];
  return [];
}

/** Ranges of a POSIX class such as `alpha`; none for an unknown name. */
export function posixClass(name: string): i32[] {
  if (name == "alnum") return [0x30, 0x39, 0x41, 0x5a, 0x61, 0x7a];
  if (name == "alpha") return [0x41, 0x5a, 0x61, 0x7a];
  if (name == "ascii") return [0, 0x7f];
  if (name == "blank") return [0x09, 0x09, 0x20, 0x20];
  if (name == "cntrl") return [0, 0x1f, 0x7f, 0x7f];
  if (name == "digit") return perlClass(0x64);
  if (name == "graph") return [0x21, 0x7e];
  if (name == "lower") return [0x61, 0x7a];
  if (name == "print") return [0x20, 0x7e];
  if (name == "punct") return [0x21, 0x2f, 0x3a, 0x40, 0x5b, 0x60, 0x7b, 0x7e];
  if (name == "space") return [0x09, 0x0d, 0x20, 0x20];
  if (name == "upper") return [0x41, 0x5a];
  if (name == "word") return perlClass(0x77);
  if (name == "xdigit") return [0x30, 0x39, 0x41, 0x46, 0x61, 0x66];
  return [];
}
