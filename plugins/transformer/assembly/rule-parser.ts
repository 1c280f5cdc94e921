import { bytesOf, ConfigErrors, JsonValue, parseJson } from "@wasmline/plugin-sdk/assembly";
import { lowerCase } from "@wasmline/plugin-sdk/assembly/ascii";
import { compileRegex } from "@wasmline/plugin-sdk/assembly/regex/regex";
import { Source } from "./facts";
import { setValueText } from "./json/go-json";
import { JsonPath } from "./json/path";
import { Operate, Operation, Strategy } from "./operation";
import { Pattern } from "./pattern";
import { Rules } from "./rules";

const OPERATES: string[] = ["remove", "rename", "replace", "add", "append", "map", "dedupe"];
const SOURCES: string[] = ["headers", "querys", "body"];
const TYPES: string[] = ["string", "object", "boolean", "number"];
const STRATEGIES: string[] = [
  "RETAIN_FIRST",
  "RETAIN_LAST",
  "RETAIN_UNIQUE",
  "SPLIT_AND_RETAIN_FIRST",
  "SPLIT_AND_RETAIN_LAST",
];
const NO_SOURCE: i32 = -1;

/** Reads the rules of one direction. */
export class RuleParser {
  readonly rules: Rules = new Rules();
  /** How many rules were read. */
  count: i32 = 0;
  /** What is likely to be a mistake, and yet has a meaning. */
  readonly warnings: string[] = [];

  constructor(private strict: bool) {}

  // Unlike Higress: a rule with an unknown word keeps the plugin from starting, unless `strict` is set. There it ends the
  // list without a word, and all rules after it are lost.
  /** Reads a rule; false when those after it do not count. */
  parse(rule: JsonValue, errors: ConfigErrors): bool {
    const operate = OPERATES.indexOf(lowerCase(rule.get("operate").text()));
    if (operate < 0) return this.refuse(errors, "operate", rule.get("operate"), OPERATES);
    let source = NO_SOURCE;
    if (operate == Operate.Map && rule.get("mapSource").exists) {
      source = SOURCES.indexOf(rule.get("mapSource").text());
      if (source < 0) return this.refuse(errors, "mapSource", rule.get("mapSource"), SOURCES);
    }
    const body = rule.get("body").list();
    for (let i = 0; i < body.length; i++) {
      const type = body[i].get("value_type");
      if (typeOf(type) < 0) return this.refuse(errors, `body[${i}]: value_type`, type, TYPES);
    }
    if (source == Source.Body) this.rules.waitsForBody = true;
    for (let part = 0; part < SOURCES.length; part++) {
      const list = rule.get(SOURCES[part]).list();
      for (let i = 0; i < list.length; i++) {
        const own = new ConfigErrors();
        this.rules.part(part).push(this.parseOperation(operate, part, source, list[i], own));
        errors.addAll(`${SOURCES[part]}[${i}]`, own);
      }
    }
    this.count++;
    return true;
  }

  private refuse(errors: ConfigErrors, name: string, value: JsonValue, expected: string[]): bool {
    if (this.strict) return false;
    const found = value.exists ? `is ${value.raw()}` : "is missing";
    errors.add(`${name} ${found}: expected one of ${expected.join(", ")}`);
    return true;
  }

  private parseOperation(
    operate: Operate,
    part: Source,
    source: i32,
    json: JsonValue,
    errors: ConfigErrors,
  ): Operation {
    const from = source == NO_SOURCE ? part : source;
    const isMap = operate == Operate.Map;
    const keyName = isMap ? "fromKey" : operate == Operate.Rename ? "oldKey" : "key";
    const newName = isMap ? "toKey" : operate == Operate.Rename ? "newKey" : "";
    const key = this.readKey(json, keyName, isMap ? from : part, errors);
    const newKey = newName == "" ? "" : this.readKey(json, newName, part, errors);
    const operation = new Operation(operate, key, newKey);
    operation.source = from;
    if (operate == Operate.Dedupe) operation.strategy = this.readStrategy(json);
    if (part == Source.Querys || from == Source.Querys) this.rules.usesQuery = true;
    if (from == Source.Body) operation.path = this.readPath(key, keyName);
    if (part == Source.Body && newName != "") operation.newPath = this.readPath(newKey, newName);
    if (operate == Operate.Replace) this.readValue(operation, part, json, "newValue", errors);
    if (operate == Operate.Add) this.readValue(operation, part, json, "value", errors);
    if (operate == Operate.Append) this.readValue(operation, part, json, "appendValue", errors);
    return operation;
  }

  private readKey(json: JsonValue, name: string, part: Source, errors: ConfigErrors): string {
    const key = json.get(name).text();
    if (key == "" && !this.strict) errors.add(`${name} is missing or empty`);
    return part == Source.Headers ? lowerCase(key) : key;
  }

  private readStrategy(json: JsonValue): Strategy {
    const text = json.get("strategy").text();
    const strategy = STRATEGIES.map<string>((name) => lowerCase(name)).indexOf(lowerCase(text));
    if (strategy < 0 && text != "")
      this.warnings.push(
        `strategy ${json.get("strategy").raw()} is unknown and counts as RETAIN_FIRST: expected one of ${STRATEGIES.join(", ")}`,
      );
    return max(strategy, 0);
  }

  /** A key as path; null for one that no JSON body can be changed by. */
  private readPath(key: string, name: string): JsonPath | null {
    if (key == "") return null;
    const path = new JsonPath(key);
    if (path.error == "") return path;
    this.warnings.push(`${name} ${key} ${path.error}; JSON bodies stay as they are`);
    return null;
  }

  private readValue(
    operation: Operation,
    part: Source,
    json: JsonValue,
    name: string,
    errors: ConfigErrors,
  ): void {
    operation.value = json.get(name).text();
    const type = part == Source.Body ? typeOf(json.get("value_type")) : 0;
    operation.isText = type == 0;
    if (type > 0) {
      operation.json = typedValue(TYPES[type], operation.value, !this.strict);
      if (operation.json === null)
        this.warnings.push(
          `${name} ${json.get(name).raw()} is no ${TYPES[type]}: JSON bodies stay as they are`,
        );
    }
    this.readPattern(operation, json, errors);
  }

  /** The host's pattern counts when there are both. */
  private readPattern(operation: Operation, json: JsonValue, errors: ConfigErrors): void {
    const host = json.get("host_pattern").text();
    const path = json.get("path_pattern").text();
    if (host == "" && path == "") return;
    const name = host != "" ? "host_pattern" : "path_pattern";
    const result = compileRegex(host != "" ? host : path);
    const regex = result.regex;
    if (regex === null)
      errors.add(`${name} ${json.get(name).raw()} is no regular expression of RE2: ${result.error}`);
    else operation.pattern = new Pattern(host != "", regex, operation.value);
    this.rules.hasPatterns = true;
  }
}

/** Place of a value's type among the types; -1 for an unknown one. */
function typeOf(json: JsonValue): i32 {
  const name = lowerCase(json.text());
  return name == "" ? 0 : TYPES.indexOf(name);
}

/** A value in JSON; null when it is not of its type. */
function typedValue(type: string, text: string, keepsIntegers: bool): ArrayBuffer | null {
  if (type == "boolean") return booleanValue(text);
  const source = type == "number" ? plainNumber(text) : text;
  const value = parseJson(bytesOf(source)).value;
  if (value === null || (type == "number" && (!value.isNumber || source != value.raw()))) return null;
  return bytesOf(setValueText(value, keepsIntegers));
}

/** A number that Go takes as JSON has it: `+.5` is `0.5`, `007.` is `7`. */
function plainNumber(text: string): string {
  const sign = text.startsWith("-") ? "-" : "";
  let start = text.startsWith("-") || text.startsWith("+") ? 1 : 0;
  while (text.startsWith("0", start) && start + 1 < text.length && isDigit(text.charCodeAt(start + 1)))
    start++;
  const digits = text.startsWith(".", start) ? "0" + text.substring(start) : text.substring(start);
  return sign + (digits.length > 1 && digits.endsWith(".") ? digits.substring(0, digits.length - 1) : digits);
}

function isDigit(unit: i32): bool {
  return unit >= 0x30 && unit <= 0x39;
}

/** What Go's strconv.ParseBool takes. */
function booleanValue(text: string): ArrayBuffer | null {
  if (["1", "t", "T", "true", "TRUE", "True"].includes(text)) return bytesOf("true");
  return ["0", "f", "F", "false", "FALSE", "False"].includes(text) ? bytesOf("false") : null;
}
