import { ConfigErrors, JsonValue } from "../../../sdk/assembly";
import { Add, Append, Copy, Dedupe, Operation, Remove, Rename, Replace } from "./operation";

export class TransformerConfig {
  /** Whether changed request headers may lead to another route. */
  reroute: bool = true;
  request: Operation[] = [];
  response: Operation[] = [];
}

export function parseConfig(json: JsonValue, errors: ConfigErrors): TransformerConfig {
  const config = new TransformerConfig();
  if (json.get("reroute").exists) config.reroute = json.get("reroute").isTrue;
  if (!json.get("reqRules").exists && !json.get("respRules").exists) {
    errors.add("transformer rule not exist in yaml: reqRules or respRules is expected");
  }
  parseRules(json, "reqRules", config.request, errors);
  parseRules(json, "respRules", config.response, errors);
  return config;
}

function parseRules(json: JsonValue, name: string, operations: Operation[], errors: ConfigErrors): void {
  const rules = json.get(name).list();
  for (let i = 0; i < rules.length; i++) {
    const ruleErrors = new ConfigErrors();
    parseRule(rules[i], operations, ruleErrors);
    errors.addAll(`${name}[${i}]`, ruleErrors);
  }
}

// Unlike Higress: a rule that cannot be carried out keeps the plugin from starting. There it is dropped without a word,
// and all rules after it as well.
function parseRule(rule: JsonValue, operations: Operation[], errors: ConfigErrors): void {
  const source = rule.get("mapSource").text();
  if (source != "" && source != "headers") {
    errors.add(`mapSource ${source} is not supported: only headers is, or leave it out`);
  }
  rejectList(rule, "querys", errors);
  rejectList(rule, "body", errors);
  const operate = rule.get("operate").text();
  const headers = rule.get("headers").list();
  if (!isKnown(operate.toLowerCase())) {
    errors.add(
      `operate is ${rule.get("operate").raw()}: expected remove, rename, replace, add, append, map or dedupe`,
    );
    return;
  }
  for (let i = 0; i < headers.length; i++) {
    rejectPattern(headers[i], "host_pattern", errors);
    rejectPattern(headers[i], "path_pattern", errors);
    operations.push(createOperation(operate.toLowerCase(), headers[i]));
  }
}

function rejectList(rule: JsonValue, name: string, errors: ConfigErrors): void {
  if (rule.get(name).list().length > 0)
    errors.add(`${name} is not supported: only headers can be transformed`);
}

function rejectPattern(parameters: JsonValue, name: string, errors: ConfigErrors): void {
  if (parameters.get(name).text() != "")
    errors.add(`${name} is not supported: give the value without a pattern`);
}

function isKnown(operate: string): bool {
  return ["remove", "rename", "replace", "add", "append", "map", "dedupe"].includes(operate);
}

function createOperation(operate: string, parameters: JsonValue): Operation {
  const key = readKey(parameters, "key");
  if (operate == "remove") return new Remove(key);
  if (operate == "rename") return new Rename(readKey(parameters, "oldKey"), readKey(parameters, "newKey"));
  if (operate == "replace") return new Replace(key, parameters.get("newValue").text());
  if (operate == "add") return new Add(key, parameters.get("value").text());
  if (operate == "append") return new Append(key, parameters.get("appendValue").text());
  if (operate == "map") return new Copy(readKey(parameters, "fromKey"), readKey(parameters, "toKey"));
  return new Dedupe(key, parameters.get("strategy").text());
}

function readKey(parameters: JsonValue, name: string): string {
  return parameters.get(name).text().toLowerCase();
}
