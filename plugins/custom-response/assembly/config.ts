import { ConfigErrors, describeValue, JsonValue, LocalResponse, warnUnknown } from "@wasmline/plugin-sdk/assembly";
import { parseResponse } from "./response";
import { ResponseConfig } from "./response-config";
import { addCode } from "./status-code";

const MEMBERS = ["status_code", "headers", "body", "enable_on_status"];
const LIST_MEMBERS = ["rules"];

/** Reads `rules: [response, …]`, or one response at the top level. */
export function parseConfig(json: JsonValue, errors: ConfigErrors): ResponseConfig {
  const config = new ResponseConfig();
  const rules = json.get("rules");
  if (rules.exists && !rules.isArray) {
    errors.addUnlessStrict(`rules is ${describeValue(rules)}: expected a list of responses`);
  }
  const items = rules.isArray ? rules.list() : [json];
  warnUnknown(json, rules.exists ? LIST_MEMBERS : MEMBERS, errors);
  let fallback: LocalResponse | null = null;
  for (let i = 0; i < items.length; i++) {
    const path = rules.isArray ? `rules[${i}]` : "";
    const response = parseItem(items[i], path, config, errors);
    if (items[i].get("enable_on_status").list().length > 0) continue;
    if (fallback !== null) errors.warn(`${path} is never given: a response before it has no codes either`);
    else fallback = response;
  }
  if (!rules.exists && !hasAny(json)) {
    errors.warn("nothing is configured: every request is answered with 200 and an empty body");
  }
  if (items.length == 0) errors.add("no valid config is found: rules has no response");
  if (!config.byStatus.isUsed) config.always = fallback;
  else if (fallback !== null)
    errors.warn("the response without codes is never given: once there are codes, requests are not answered");
  return config;
}

function parseItem(
  item: JsonValue,
  path: string,
  config: ResponseConfig,
  errors: ConfigErrors,
): LocalResponse {
  if (path != "" && !item.isObject)
    errors.addUnlessStrict(`${path} is ${describeValue(item)}: expected a response`);
  if (path != "") warnUnknown(item, MEMBERS, errors);
  const prefix = path == "" ? "" : path + ".";
  const response = parseResponse(item, prefix, errors);
  const codes = item.get("enable_on_status").list();
  for (let i = 0; i < codes.length; i++) {
    addCode(codes[i], `${prefix}enable_on_status[${i}]`, response, config.byStatus, errors);
  }
  return response;
}

function hasAny(json: JsonValue): bool {
  for (let i = 0; i < MEMBERS.length; i++) {
    if (json.get(MEMBERS[i]).exists) return true;
  }
  return false;
}
