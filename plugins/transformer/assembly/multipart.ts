import { bytesOf, textOf } from "@wasmline/plugin-sdk/assembly";
import { lowerCase } from "@wasmline/plugin-sdk/assembly/ascii";
import { KeyValues } from "./key-values";
import { dispositionParameter } from "./media-type";

/** A body of `multipart/form-data`: fields that can be changed, and the parts that are none, such as files. */
export class Multipart {
  readonly fields: KeyValues = new KeyValues();
  private others: string[] = [];

  constructor(private boundary: string) {}

  // Unlike Higress: files stay in the body, behind the fields, unless `strict` is set. There they are lost.
  /** The body with its fields as they are now. */
  write(dropsFiles: bool): ArrayBuffer {
    const delimiter = "--" + this.boundary;
    const parts: string[] = [];
    const keys = this.fields.keys();
    for (let i = 0; i < keys.length; i++) {
      const values = this.fields.get(keys[i]);
      const head = `Content-Disposition: form-data; name="${escapeName(keys[i])}"\r\n\r\n`;
      for (let k = 0; k < values.length; k++) parts.push(delimiter + "\r\n" + head + values[k] + "\r\n");
    }
    for (let i = 0; i < this.others.length && !dropsFiles; i++)
      parts.push(delimiter + "\r\n" + this.others[i] + "\r\n");
    return bytesOf(parts.join("") + delimiter + "--\r\n");
  }

  /** Takes over a part: its header lines, an empty line, its content. False when it is none. */
  addPart(part: string): bool {
    const headEnd = part.startsWith("\r\n") ? 0 : part.indexOf("\r\n\r\n");
    if (headEnd < 0) return false;
    const disposition = headerValue(part.substring(0, headEnd), "content-disposition");
    const isForm = lowerCase(disposition).startsWith("form-data");
    const name = isForm ? dispositionParameter(disposition, "name") : "";
    if (name == "" || dispositionParameter(disposition, "filename") != "") this.others.push(part);
    else this.fields.add(name, part.substring(headEnd + 4));
    return true;
  }
}

/** Reads a body; null when it is not what its boundary says. Bytes that are no text come out as they went in. */
export function readMultipart(bytes: ArrayBuffer, boundary: string): Multipart | null {
  if (boundary == "" || boundary.length > 70) return null;
  const body = "\r\n" + textOf(bytes);
  const delimiter = "\r\n--" + boundary;
  const result = new Multipart(boundary);
  let at = body.indexOf(delimiter);
  while (at >= 0) {
    const lineAt = at + delimiter.length;
    if (body.startsWith("--", lineAt)) return result;
    const lineEnd = body.indexOf("\r\n", lineAt);
    const next = lineEnd < 0 ? -1 : body.indexOf(delimiter, lineEnd);
    if (next < 0 || body.substring(lineAt, lineEnd).trim() != "") return null;
    if (!result.addPart(next < lineEnd + 2 ? "" : body.substring(lineEnd + 2, next))) return null;
    at = next;
  }
  return null;
}

function headerValue(head: string, name: string): string {
  const lines = head.split("\r\n");
  for (let i = 0; i < lines.length; i++) {
    const colon = lines[i].indexOf(":");
    if (colon > 0 && lowerCase(lines[i].substring(0, colon).trim()) == name)
      return lines[i].substring(colon + 1).trim();
  }
  return "";
}

/** A name between double quotes as Go's multipart.Writer has it. */
function escapeName(name: string): string {
  let result = "";
  for (let i = 0; i < name.length; i++) {
    const unit = name.charCodeAt(i);
    if (unit == 0x0d) result += "%0D";
    else if (unit == 0x0a) result += "%0A";
    else result += (unit == 0x22 || unit == 0x5c ? "\\" : "") + name.charAt(i);
  }
  return result;
}
