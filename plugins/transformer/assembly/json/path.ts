import { bytesOf } from "@wasmline/plugin-sdk/assembly";

/** An index may be at most this large: setting one beyond an array's end fills the gap with null. */
const MAX_INDEX: i32 = 10000;
/** One name or index of a path. */
export class PathStep {
  readonly bytes: ArrayBuffer;
  /** -1 when it is no index. */
  readonly index: i32;
  /** Whether it is the last element of an array, or behind the last one where a value is set. */
  readonly isLast: bool;

  constructor(
    readonly name: string,
    isForcedName: bool,
  ) {
    this.bytes = bytesOf(name);
    this.index = isForcedName ? -1 : parseIndex(name);
    this.isLast = !isForcedName && name == "-1";
  }
}

/** Names and indexes from a JSON value down to one inside it: `a.b.0`. */
export class JsonPath {
  readonly steps: PathStep[] = [];
  /** What is wrong with the path; "" when nothing is. */
  error: string = "";

  constructor(readonly text: string) {
    this.read();
  }

  private read(): void {
    const text = this.text;
    let name = "";
    let isForced = text.startsWith(":");
    for (let i = isForced ? 1 : 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      if (unit == 0x2e) {
        this.steps.push(new PathStep(name, isForced));
        name = "";
        isForced = text.startsWith(":", i + 1);
        if (isForced) i++;
      } else if (unit == 0x5c) {
        if (++i < text.length) name += text.charAt(i);
      } else if (isSpecial(unit) || (unit == 0x23 && name == "")) {
        this.error = `has ${text.charAt(i)} at character ${i + 1}: patterns and queries are not supported, \\${text.charAt(i)} is the character itself`;
        return;
      } else {
        name += text.charAt(i);
      }
    }
    this.steps.push(new PathStep(name, isForced));
    for (let i = 0; i < this.steps.length; i++) {
      if (this.steps[i].index > MAX_INDEX) this.error = `has an index that is larger than ${MAX_INDEX}`;
    }
  }
}

/** Wildcards and pipes of gjson. */
function isSpecial(unit: i32): bool {
  return unit == 0x2a || unit == 0x3f || unit == 0x7c;
}

/** The number that a name is; -1 for any other. No digits at all are 0, as in sjson. */
function parseIndex(name: string): i32 {
  let index = 0;
  for (let i = 0; i < name.length; i++) {
    const digit = name.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    index = min(index * 10 + digit, MAX_INDEX + 1);
  }
  return index;
}
