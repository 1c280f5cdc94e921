import { lowerCase } from "@wasmline/plugin-sdk/assembly/ascii";

/** Kinds of bodies that can be changed. */
export enum BodyKind {
  Other,
  Json,
  Form,
  Multipart,
}

/** A `content-type` header. */
export class MediaType {
  readonly kind: BodyKind;
  /** Of a multipart body; "" when it is not given. */
  boundary: string = "";
  /** Whether all of the header is as RFC 2045 has it. */
  isWellFormed: bool = true;

  constructor(text: string) {
    const semicolon = text.indexOf(";");
    this.kind = kindOf(lowerCase((semicolon < 0 ? text : text.substring(0, semicolon)).trim()));
    if (semicolon >= 0) this.readParameters(text, semicolon);
  }

  private readParameters(text: string, start: i32): void {
    const names: string[] = [];
    let at = start;
    while (text.charAt(at) == ";" && text.substring(at).trim() != ";") {
      const nameAt = skipSpace(text, at + 1);
      const nameEnd = skipToken(text, nameAt);
      const name = lowerCase(text.substring(nameAt, nameEnd));
      const equals = skipSpace(text, nameEnd);
      const valueAt = skipSpace(text, equals + 1);
      const isQuoted = text.charAt(valueAt) == '"';
      const end = isQuoted ? skipQuoted(text, valueAt) : skipToken(text, valueAt);
      if (name == "" || text.charAt(equals) != "=" || end == valueAt || names.includes(name)) {
        this.isWellFormed = false;
        return;
      }
      names.push(name);
      if (name == "boundary")
        this.boundary = isQuoted ? unquote(text, valueAt, end) : text.substring(valueAt, end);
      at = skipSpace(text, end);
    }
    if (at < text.length && text.substring(at).trim() != ";") this.isWellFormed = false;
  }
}

function kindOf(name: string): BodyKind {
  if (name == "application/json") return BodyKind.Json;
  if (name == "application/x-www-form-urlencoded") return BodyKind.Form;
  return name == "multipart/form-data" ? BodyKind.Multipart : BodyKind.Other;
}

function skipSpace(text: string, at: i32): i32 {
  let next = at;
  while (text.charAt(next) == " " || text.charAt(next) == "\t") next++;
  return next;
}

function skipToken(text: string, at: i32): i32 {
  let next = at;
  while (next < text.length) {
    const unit = text.charCodeAt(next);
    if (unit <= 0x20 || unit >= 0x7f || '()<>@,;:\\"/[]?='.includes(text.charAt(next))) break;
    next++;
  }
  return next;
}

/** The place behind a quoted text; its beginning when it does not end. */
function skipQuoted(text: string, at: i32): i32 {
  for (let next = at + 1; next < text.length; next++) {
    const unit = text.charCodeAt(next);
    if (unit == 0x22) return next + 1;
    if (unit == 0x5c) next++;
  }
  return at;
}

function unquote(text: string, start: i32, end: i32): string {
  let result = "";
  for (let i = start + 1; i < end - 1; i++) {
    if (text.charCodeAt(i) == 0x5c) i++;
    result += text.charAt(i);
  }
  return result;
}

/** A parameter of a `content-disposition` header; "" when it is not there. */
export function dispositionParameter(header: string, wanted: string): string {
  let at = header.indexOf(";");
  while (at >= 0 && header.charAt(at) == ";") {
    const nameAt = skipSpace(header, at + 1);
    const nameEnd = skipToken(header, nameAt);
    const equals = skipSpace(header, nameEnd);
    if (header.charAt(equals) != "=") return "";
    const valueAt = skipSpace(header, equals + 1);
    const isQuoted = header.charAt(valueAt) == '"';
    const end = isQuoted ? skipQuoted(header, valueAt) : skipToken(header, valueAt);
    if (end == valueAt) return "";
    if (lowerCase(header.substring(nameAt, nameEnd)) == wanted)
      return isQuoted ? unquote(header, valueAt, end) : header.substring(valueAt, end);
    at = skipSpace(header, end);
  }
  return "";
}
