import {
  bytesOf,
  ConfigErrors,
  Header,
  JsonValue,
  LocalResponse,
  parseInteger,
  parseJson,
} from "../../../sdk/assembly";
import { ResponseConfig } from "./response-config";

const DETAILS = "custom-response";

/** Reads `rules: [response, …]`, or one response at the top level. */
export function parseConfig(json: JsonValue, errors: ConfigErrors): ResponseConfig {
  const config = new ResponseConfig();
  const rules = json.get("rules");
  const items = rules.isArray ? rules.list() : [json];
  let fallback: LocalResponse | null = null;
  for (let i = 0; i < items.length; i++) {
    const response = parseResponse(items[i], errors);
    const codes = items[i].get("enable_on_status").list();
    for (let j = 0; j < codes.length; j++) addCode(codes[j].text(), response, config, errors);
    if (fallback === null && codes.length == 0) fallback = response;
  }
  if (items.length == 0) errors.add("no valid config is found: rules has no response");
  if (!config.byStatus.isUsed) config.always = fallback;
  return config;
}

function parseResponse(item: JsonValue, errors: ConfigErrors): LocalResponse {
  const body = item.get("body").text();
  const headers: Header[] = [];
  let contentType = "";
  const lines = item.get("headers").list();
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i].text();
    const at = line.indexOf("=");
    if (at < 0) {
      errors.add(`invalid header pair format: ${line}: headers[${i}] is expected to be "name=value"`);
      continue;
    }
    const header = new Header(line.substring(0, at).trim(), line.substring(at + 1).trim());
    const name = header.name.toLowerCase();
    if (name == "content-type") contentType = header.value;
    else if (name != "content-length") headers.push(header);
  }
  if (contentType == "" && body != "") contentType = guessContentType(body);
  headers.push(new Header("content-type", contentType));
  return new LocalResponse(parseStatusCode(item.get("status_code"), errors), headers, body, DETAILS);
}

function guessContentType(body: string): string {
  const isJson = parseJson(bytesOf(body)).value !== null;
  return isJson ? "application/json; charset=utf-8" : "text/plain; charset=utf-8";
}

function parseStatusCode(value: JsonValue, errors: ConfigErrors): u32 {
  if (!value.exists) return 200;
  const code = parseInteger(value.text());
  if (code === null) {
    errors.add(`invalid status code value: ${value.raw()}: status_code is expected to be a whole number`);
    return 200;
  }
  return code.value as u32;
}

function addCode(code: string, response: LocalResponse, config: ResponseConfig, errors: ConfigErrors): void {
  const isExact = parseInteger(code) !== null;
  const key = isExact ? code : code.toLowerCase();
  if (!isExact && !isPattern(key)) {
    errors.add(
      `invalid enable_on_status value: ${code}: expected a status code, or three digits of which some are x`,
    );
    return;
  }
  if (config.byStatus.has(key)) {
    errors.add(`enableOnStatus can only use once: ${code} is there twice`);
    return;
  }
  if (isExact) config.byStatus.addExact(key, response);
  else config.byStatus.addPattern(key, response);
}

/** Three characters, each a digit or x. A pattern without x is an integer and does not come here. */
function isPattern(code: string): bool {
  if (code.length != 3) return false;
  for (let i = 0; i < 3; i++) {
    const unit = code.charCodeAt(i);
    if (unit != 0x78 && (unit < 0x30 || unit > 0x39)) return false;
  }
  return true;
}
