import {
  bytesOf,
  ConfigErrors,
  describeValue,
  Header,
  JsonValue,
  LocalResponse,
  parseInteger,
  parseJson,
} from "@wasmline/plugin-sdk/assembly";
import { lowerCase } from "@wasmline/plugin-sdk/assembly/ascii";

const DETAILS = "custom-response";
const STATUS_DEFAULT = 200;

/** Reads one response. `prefix` is what stands before its members' names in messages. */
export function parseResponse(item: JsonValue, prefix: string, errors: ConfigErrors): LocalResponse {
  const body = item.get("body").text();
  const headers: Header[] = [];
  let contentType = "";
  const lines = item.get("headers").list();
  for (let i = 0; i < lines.length; i++) {
    const header = parseHeader(lines[i], `${prefix}headers[${i}]`, errors);
    if (header === null) continue;
    const name = lowerCase(header.name);
    if (name == "content-type") contentType = header.value;
    else if (name != "content-length") headers.push(header);
  }
  if (contentType == "" && body != "") contentType = guessContentType(body);
  headers.push(new Header("content-type", contentType));
  const status = parseStatus(item.get("status_code"), prefix, errors);
  return new LocalResponse(status, headers, body, DETAILS);
}

function parseHeader(line: JsonValue, path: string, errors: ConfigErrors): Header | null {
  const text = line.text();
  const at = text.indexOf("=");
  if (at < 0) {
    errors.add(`invalid header pair format: ${path} is ${describeValue(line)}: expected "name=value"`);
    return null;
  }
  const header = new Header(text.substring(0, at).trim(), text.substring(at + 1).trim());
  // Unlike Higress: a header that no proxy can send is refused here, and not with each answer.
  if (!isHeaderName(header.name))
    errors.addUnlessStrict(`${path} is ${describeValue(line)}: its name is no name of a header`);
  if (hasControl(header.value))
    errors.addUnlessStrict(`${path} is ${describeValue(line)}: its value has a control character`);
  return header;
}

/** Letters, digits and the marks that names of headers may have (RFC 9110, section 5.1). */
function isHeaderName(name: string): bool {
  const marks = "!#$%&'*+-.^_`|~";
  for (let i = 0; i < name.length; i++) {
    const unit = name.charCodeAt(i);
    const letter = unit | 0x20;
    if (unit >= 0x30 && unit <= 0x39) continue;
    if (letter >= 0x61 && letter <= 0x7a && unit < 0x80) continue;
    if (!marks.includes(name.charAt(i))) return false;
  }
  return name.length > 0;
}

function hasControl(value: string): bool {
  for (let i = 0; i < value.length; i++) {
    const unit = value.charCodeAt(i);
    if ((unit < 0x20 && unit != 0x09) || unit == 0x7f) return true;
  }
  return false;
}

function guessContentType(body: string): string {
  const isJson = parseJson(bytesOf(body)).value !== null;
  return isJson ? "application/json; charset=utf-8" : "text/plain; charset=utf-8";
}

function parseStatus(value: JsonValue, prefix: string, errors: ConfigErrors): u32 {
  if (!value.exists) return STATUS_DEFAULT;
  const code = parseInteger(value.text());
  if (code === null) {
    errors.add(
      `invalid status code value: ${prefix}status_code is ${describeValue(value)}: expected a whole number`,
    );
    return STATUS_DEFAULT;
  }
  // Unlike Higress: a status with another number of digits breaks the connection of whoever reads it.
  if (code.value < 200 || code.value > 999)
    errors.addUnlessStrict(
      `${prefix}status_code is ${describeValue(value)}: expected a number from 200 to 999`,
    );
  return code.value as u32;
}
