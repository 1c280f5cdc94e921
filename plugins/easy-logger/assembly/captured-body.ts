import { Body, HeaderMap, textOf } from "@wasmline/plugin-sdk/assembly";
import { lowerCase } from "@wasmline/plugin-sdk/assembly/ascii";

/** The beginning of a body, up to a limit; the body itself is not held up. */
export class CapturedBody {
  private bytes: ArrayBuffer = new ArrayBuffer(0);
  /** Whether there was more than the limit. */
  isCut: bool = false;

  /** `isForm`: names and values with `=` and `&`, and not JSON or plain text. */
  constructor(
    private limit: i32,
    readonly isForm: bool,
  ) {}

  /** Takes what a callback brought. */
  take(body: Body, size: u32): void {
    const room = this.limit - this.bytes.byteLength;
    if (size > (room as u32)) this.isCut = true;
    if (room <= 0 || size == 0) return;
    const piece = body.bytes(0, room as u32);
    if (piece !== null) this.append(piece);
  }

  text(): string {
    return textOf(this.isCut ? this.bytes.slice(0, wholeCharacters(this.bytes)) : this.bytes);
  }

  private append(piece: ArrayBuffer): void {
    const kept = this.bytes.byteLength;
    const all = new ArrayBuffer(kept + piece.byteLength);
    memory.copy(changetype<usize>(all), changetype<usize>(this.bytes), kept);
    memory.copy(changetype<usize>(all) + kept, changetype<usize>(piece), piece.byteLength);
    this.bytes = all;
  }
}

/** Number of bytes up to the last character that is there as a whole. */
function wholeCharacters(bytes: ArrayBuffer): i32 {
  const size = bytes.byteLength;
  const start = changetype<usize>(bytes);
  for (let back = 1; back <= 3 && back <= size; back++) {
    const byte = load<u8>(start + size - back);
    if (byte < 0x80) return size;
    if (byte < 0xc0) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    return length > back ? size - back : size;
  }
  return size;
}

/** Which bodies are logged, and how much of them. */
export class BodyConfig {
  limit: i32 = 1024;
  types: string[] = ["application/json", "application/x-www-form-urlencoded"];

  /** Begins to capture the body that these headers announce; null when it is of a type that is not logged. */
  begin(headers: HeaderMap): CapturedBody | null {
    const encoding = headers.get("content-encoding");
    if (encoding !== null && encoding != "" && lowerCase(encoding) != "identity") return null;
    const type = mediaType(headers.get("content-type"));
    if (!this.takes(type)) return null;
    return new CapturedBody(this.limit, type == "application/x-www-form-urlencoded");
  }

  private takes(type: string): bool {
    const known = type.endsWith("+json") ? "application/json" : type;
    for (let i = 0; i < this.types.length; i++) {
      const wanted = this.types[i];
      if (wanted == type || wanted == known || wanted == "*/*") return true;
      if (wanted.endsWith("/*") && type.startsWith(wanted.substring(0, wanted.length - 1))) return true;
    }
    return false;
  }
}

/** Type and subtype in lower case, without parameters; "" when there is none. */
function mediaType(value: string | null): string {
  if (value === null) return "";
  const end = value.indexOf(";");
  return lowerCase((end < 0 ? value : value.substring(0, end)).trim());
}
