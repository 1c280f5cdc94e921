import { bytesOf, unescapeQuery } from "@wasmline/plugin-sdk/assembly";
import { lowerCase } from "@wasmline/plugin-sdk/assembly/ascii";
import { REDACTED, redactMembers } from "./redact-json";

const HEADERS = [
  "authorization",
  "proxy-authorization",
  "cookie",
  "set-cookie",
  "x-api-key",
  "api-key",
  "apikey",
  "x-auth-token",
  "x-access-token",
  "x-csrf-token",
  "x-amz-security-token",
  "x-forwarded-client-cert",
];
const FIELDS = [
  "password",
  "passwd",
  "secret",
  "token",
  "access_token",
  "refresh_token",
  "id_token",
  "api_key",
  "apikey",
  "x-api-key",
  "client_secret",
  "credential",
  "authorization",
  "private_key",
];
/** Headers whose value is a URL, with a query. */
const URL_HEADERS = [
  ":path",
  "referer",
  "location",
  "content-location",
  "x-envoy-original-path",
  "x-original-url",
];

/** Names of the headers and fields whose values are not logged, in lower case. */
export class Redaction {
  private headers: Set<string> = new Set<string>();
  private fields: Set<string> = new Set<string>();
  private fieldBytes: ArrayBuffer[] = [];

  addDefaults(): void {
    this.addHeaders(HEADERS);
    this.addFields(FIELDS);
  }

  addHeaders(names: string[]): void {
    for (let i = 0; i < names.length; i++) this.headers.add(lowerCase(names[i]));
  }

  addFields(names: string[]): void {
    for (let i = 0; i < names.length; i++) {
      const name = names[i].toLowerCase();
      this.fields.add(name);
      this.fieldBytes.push(bytesOf(name));
    }
  }

  /** A copy to which a rule adds its names. */
  copy(): Redaction {
    const copy = new Redaction();
    copy.addHeaders(this.headers.values());
    copy.addFields(this.fields.values());
    return copy;
  }

  hidesHeader(name: string): bool {
    return this.headers.has(name);
  }

  /** A header's value as it may be logged; `name` is in lower case. */
  header(name: string, value: string): string {
    if (this.hidesHeader(name)) return REDACTED;
    return holdsUrl(name) ? this.url(value) : value;
  }

  /**
   * Whether a parameter of this URL, which is UTF-8, could be one that is hidden. Without one, which is most often so, nothing
   * needs to be taken apart.
   */
  mayHidePart(at: usize, size: usize): bool {
    const end = at + size;
    while (at < end && load<u8>(at) != QUESTION) at++;
    while (at < end) {
      const start = ++at;
      while (at < end && load<u8>(at) != EQUALS && load<u8>(at) != AMPERSAND) {
        const byte = load<u8>(at++);
        if (byte == PERCENT || byte == PLUS || byte > 0x7f) return true;
      }
      if (this.isHidden(start, at - start)) return true;
      while (at < end && load<u8>(at) != AMPERSAND) at++;
    }
    return false;
  }

  /** Whether this is, in ASCII, the name of a hidden field. */
  private isHidden(at: usize, size: usize): bool {
    const names = this.fieldBytes;
    for (let i = 0; i < names.length; i++) {
      if ((names[i].byteLength as usize) == size && isSameWord(changetype<usize>(names[i]), at, size)) return true;
    }
    return false;
  }

  /** A URL or path, with the named parameters of its query redacted. */
  url(text: string): string {
    const mark = text.indexOf("?");
    return mark < 0 ? text : text.substring(0, mark + 1) + this.form(text.substring(mark + 1));
  }

  /** Names and values as in a query, with the named values redacted. */
  form(text: string): string {
    const pairs = text.split("&");
    for (let i = 0; i < pairs.length; i++) {
      const at = pairs[i].indexOf("=");
      if (at < 0) continue;
      const written = pairs[i].substring(0, at);
      const name = unescapeQuery(written);
      if (this.fields.has((name === null ? written : name).toLowerCase()))
        pairs[i] = written + "=" + REDACTED;
    }
    return pairs.join("&");
  }

  /** A text in which JSON stands, whole or cut, with the named members redacted. */
  json(text: string): string {
    return redactMembers(text, this.fields);
  }
}

/** Whether a header's value is a URL, whose query is redacted. */
export function holdsUrl(name: string): bool {
  return URL_HEADERS.includes(name);
}

const QUESTION: u8 = 0x3f;
const EQUALS: u8 = 0x3d;
const AMPERSAND: u8 = 0x26;
const PERCENT: u8 = 0x25;
const PLUS: u8 = 0x2b;

/** Whether two words of ASCII are the same, the first of which is in lower case. */
function isSameWord(lower: usize, other: usize, size: usize): bool {
  for (let i: usize = 0; i < size; i++) {
    const byte = load<u8>(other + i);
    const isUpper = byte >= 0x41 && byte <= 0x5a;
    if (load<u8>(lower + i) != (isUpper ? byte | 0x20 : byte)) return false;
  }
  return true;
}
