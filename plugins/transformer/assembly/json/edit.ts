import { parseJson } from "@wasmline/plugin-sdk/assembly";
import { ByteWriter } from "@wasmline/plugin-sdk/assembly/byte-writer";
import { quoteGo } from "./go-json";
import { JsonPath, PathStep } from "./path";
import { skipSpace, skipString, skipValue } from "./scan";

/** Valid JSON in which values are found, set and removed by path, with the meaning that gjson and sjson give to it. */
export class JsonText {
  /** Place of the value that was found last. */
  private start: usize = 0;
  private end: usize = 0;
  /** Begin of its member or element, and of the comma before that; 0 for none. */
  private itemStart: usize = 0;
  private commaBefore: usize = 0;

  constructor(public bytes: ArrayBuffer) {}

  /** The value at a path as it is written; null when there is none. */
  find(path: JsonPath): ArrayBuffer | null {
    return this.descend(path.steps, false) == path.steps.length ? this.slice(this.start, this.end) : null;
  }

  /** Puts a value at a path, with what is missing on the way. False when an array is asked for a name. */
  set(path: JsonPath, value: ArrayBuffer): bool {
    const steps = path.steps;
    const depth = this.descend(steps, false);
    const writer = new ByteWriter(this.bytes.byteLength + value.byteLength + 64);
    if (depth == steps.length) {
      this.splice(writer, this.start, this.end, value);
      return true;
    }
    const kind = this.start < this.end ? load<u8>(this.start) : 0;
    const step = steps[depth];
    if (kind == 0x5b && step.index < 0 && !step.isLast) return false;
    const isContainer = kind == 0x7b || kind == 0x5b;
    const isArray = isContainer ? kind == 0x5b : step.index >= 0;
    const added = new ByteWriter();
    if (!isContainer) added.push(isArray ? 0x5b : 0x7b);
    else if (skipSpace(this.start + 1, this.end) < this.end - 1) added.push(0x2c);
    const fill = isArray ? step.index - (isContainer ? this.countElements() : 0) : 0;
    for (let i = 0; i < fill; i++) added.pushText("null,");
    if (!isArray) pushName(added, step);
    pushNested(added, steps, depth + 1, value);
    if (!isContainer) added.push(isArray ? 0x5d : 0x7d);
    if (isContainer) this.splice(writer, this.end - 1, this.end - 1, added.take());
    else this.splice(writer, this.start, this.end, added.take());
    return true;
  }

  /** Removes the value at a path, if there is one, with its name. */
  remove(path: JsonPath): void {
    if (this.descend(path.steps, true) < path.steps.length) return;
    const limit = changetype<usize>(this.bytes) + this.bytes.byteLength;
    const next = skipSpace(this.end, limit);
    const hasNext = next < limit && load<u8>(next) == 0x2c;
    const from = hasNext || this.commaBefore == 0 ? this.itemStart : this.commaBefore;
    this.splice(
      new ByteWriter(this.bytes.byteLength),
      from,
      hasNext ? next + 1 : this.end,
      new ArrayBuffer(0),
    );
  }

  /**
   * Goes down as many steps as there are values for; the place is that of the last one. `takesLast` says whether -1 is
   * an array's last element, and not the place behind it.
   */
  private descend(steps: PathStep[], takesLast: bool): i32 {
    const base = changetype<usize>(this.bytes);
    this.start = skipSpace(base, base + this.bytes.byteLength);
    this.end = skipValue(this.start, base + this.bytes.byteLength);
    for (let i = 0; i < steps.length; i++) {
      const kind = this.start < this.end ? load<u8>(this.start) : 0;
      if (kind == 0x7b ? !this.enterObject(steps[i]) : kind != 0x5b || !this.enterArray(steps[i], takesLast))
        return i;
    }
    return steps.length;
  }

  private enterObject(step: PathStep): bool {
    let at = skipSpace(this.start + 1, this.end);
    let comma: usize = 0;
    while (at < this.end && load<u8>(at) == 0x22) {
      const nameEnd = skipString(at, this.end);
      const value = skipSpace(skipSpace(nameEnd, this.end) + 1, this.end);
      const valueEnd = skipValue(value, this.end);
      if (this.isNamed(at, nameEnd, step)) return this.enter(at, comma, value, valueEnd);
      comma = skipSpace(valueEnd, this.end);
      at = skipSpace(comma + 1, this.end);
    }
    return false;
  }

  private enterArray(step: PathStep, takesLast: bool): bool {
    const index = step.isLast && takesLast ? this.countElements() - 1 : step.index;
    let at = skipSpace(this.start + 1, this.end);
    let comma: usize = 0;
    for (let i = 0; at < this.end - 1 && i <= index; i++) {
      const valueEnd = skipValue(at, this.end);
      if (i == index) return this.enter(at, comma, at, valueEnd);
      comma = skipSpace(valueEnd, this.end);
      at = skipSpace(comma + 1, this.end);
    }
    return false;
  }

  private enter(itemStart: usize, comma: usize, start: usize, end: usize): bool {
    this.itemStart = itemStart;
    this.commaBefore = comma;
    this.start = start;
    this.end = end;
    return true;
  }

  private countElements(): i32 {
    let at = skipSpace(this.start + 1, this.end);
    let count = 0;
    for (; at < this.end - 1; count++)
      at = skipSpace(skipSpace(skipValue(at, this.end), this.end) + 1, this.end);
    return count;
  }

  private isNamed(start: usize, end: usize, step: PathStep): bool {
    const size = (end - start - 2) as i32;
    const expected = step.bytes;
    if (size == expected.byteLength && memory.compare(start + 1, changetype<usize>(expected), size) == 0) {
      return !hasBackslash(start, end);
    }
    return hasBackslash(start, end) && textOfJson(this.slice(start, end)) == step.name;
  }

  private slice(start: usize, end: usize): ArrayBuffer {
    const base = changetype<usize>(this.bytes);
    return this.bytes.slice((start - base) as i32, (end - base) as i32);
  }

  private splice(writer: ByteWriter, from: usize, to: usize, value: ArrayBuffer): void {
    const base = changetype<usize>(this.bytes);
    writer.pushSpan(base, (from - base) as i32);
    writer.pushBytes(value);
    writer.pushSpan(to, (base + this.bytes.byteLength - to) as i32);
    this.bytes = writer.take();
  }
}

/** The value inside whatever the steps from `depth` on ask for. */
function pushNested(writer: ByteWriter, steps: PathStep[], depth: i32, value: ArrayBuffer): void {
  for (let i = depth; i < steps.length; i++) {
    const step = steps[i];
    if (isElement(step)) {
      writer.push(0x5b);
      for (let k = 0; k < step.index; k++) writer.pushText("null,");
    } else {
      writer.push(0x7b);
      pushName(writer, step);
    }
  }
  writer.pushBytes(value);
  for (let i = steps.length - 1; i >= depth; i--) writer.push(isElement(steps[i]) ? 0x5d : 0x7d);
}

function isElement(step: PathStep): bool {
  return step.index >= 0 || step.isLast;
}

function pushName(writer: ByteWriter, step: PathStep): void {
  writer.pushText(quoteGo(step.name));
  writer.push(0x3a);
}

function hasBackslash(start: usize, end: usize): bool {
  for (let at = start; at < end; at++) {
    if (load<u8>(at) == 0x5c) return true;
  }
  return false;
}

function textOfJson(bytes: ArrayBuffer): string {
  const value = parseJson(bytes).value;
  return value === null ? "" : value.text();
}
