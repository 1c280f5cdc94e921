import { ConfigErrors, JsonValue, logWarn } from "@wasmline/plugin-sdk/assembly";
import { RuleParser } from "./rule-parser";
import { Rules } from "./rules";

export class TransformerConfig {
  /** Whether changed request headers may lead to another route. */
  reroute: bool = true;
  /** Whether the reference is followed to the letter. */
  strict: bool = false;
  /** Null leaves requests alone. */
  request: Rules | null = null;
  /** Null leaves responses alone. */
  response: Rules | null = null;
}

/** Reads a configuration; one for a part of the requests takes `strict` from the one for all. */
export function parseConfig(
  json: JsonValue,
  global: TransformerConfig | null,
  errors: ConfigErrors,
): TransformerConfig {
  const config = new TransformerConfig();
  const strict = json.get("strict");
  config.strict = strict.exists ? strict.isTrue : global !== null && global.strict;
  if (json.get("reroute").exists) config.reroute = json.get("reroute").isTrue;
  const hasRequest = json.get("reqRules").exists;
  const hasResponse = json.get("respRules").exists;
  if (!hasRequest && !hasResponse)
    errors.add("transformer rule not exist in yaml: reqRules or respRules is expected");
  const requestErrors = new ConfigErrors();
  if (hasRequest) config.request = parseRules(json, "reqRules", config.strict, requestErrors);
  // The reference forgets what is wrong with the rules for requests when there are rules for responses.
  const isForgotten = config.strict && hasResponse && !requestErrors.isEmpty;
  if (isForgotten) config.request = null;
  else addAll(requestErrors, errors);
  if (hasResponse) config.response = parseRules(json, "respRules", config.strict, errors);
  return config;
}

function parseRules(json: JsonValue, name: string, strict: bool, errors: ConfigErrors): Rules | null {
  const parser = new RuleParser(strict);
  const list = json.get(name).list();
  for (let i = 0; i < list.length; i++) {
    const ruleErrors = new ConfigErrors();
    const isRead = parser.parse(list[i], ruleErrors);
    errors.addAll(`${name}[${i}]`, ruleErrors);
    if (!isRead) break;
  }
  for (let i = 0; i < parser.warnings.length; i++) logWarn(`configuration: ${name}: ${parser.warnings[i]}`);
  return parser.count == 0 ? null : parser.rules;
}

function addAll(from: ConfigErrors, to: ConfigErrors): void {
  const messages = from.list();
  for (let i = 0; i < messages.length; i++) to.add(messages[i]);
}
