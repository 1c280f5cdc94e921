import { parseQuery, textOf } from "@wasmline/plugin-sdk/assembly";
import { Facts } from "./facts";
import { isValidJson } from "./json/scan";
import { ofParameters } from "./key-values";
import { BodyKind, MediaType } from "./media-type";
import { Multipart, readMultipart } from "./multipart";

/** A body as operations change it. */
export class ReadBody {
  multipart: Multipart | null = null;

  constructor(
    readonly kind: BodyKind,
    /** Why the body cannot be changed; "" when it can. */
    readonly error: string,
  ) {}
}

/** Reads a body, and puts it into the facts. */
export function readBody(bytes: ArrayBuffer, type: MediaType, facts: Facts): ReadBody {
  if (type.kind == BodyKind.Json) {
    const start = changetype<usize>(bytes);
    if (!isValidJson(start, start + bytes.byteLength)) return new ReadBody(type.kind, "it is not valid JSON");
    facts.json = bytes;
    return new ReadBody(type.kind, "");
  }
  if (type.kind == BodyKind.Form) {
    const text = textOf(bytes);
    const parameters = parseQuery("?" + text.split("#").join("%23"));
    if (parameters.length < countPairs(text))
      return new ReadBody(type.kind, "it has a broken escape or a semicolon");
    facts.form = ofParameters(parameters);
    return new ReadBody(type.kind, "");
  }
  const multipart = readMultipart(bytes, type.boundary);
  if (multipart === null) return new ReadBody(type.kind, "it is not what its boundary says");
  facts.form = multipart.fields;
  const body = new ReadBody(type.kind, "");
  body.multipart = multipart;
  return body;
}

function countPairs(text: string): i32 {
  let count = 0;
  const pairs = text.split("&");
  for (let i = 0; i < pairs.length; i++) {
    if (pairs[i] != "") count++;
  }
  return count;
}
