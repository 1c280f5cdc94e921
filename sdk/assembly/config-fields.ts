import { lowerCase } from "./ascii";
import { ConfigErrors } from "./config-errors";
import { JsonKind, JsonValue } from "./json/value";

const FOUND: i32 = 60;

/** The value as it stands in the configuration, shortened for a message. Not for secrets. */
export function describeValue(value: JsonValue): string {
  if (!value.exists) return "left out";
  const raw = value.raw();
  return raw.length > FOUND ? raw.substring(0, FOUND) + "…" : raw;
}

/**
 * Reads a truth value that is `missing` where it is not there. The texts "true", "false", "t", "f", "1" and "0" and
 * numbers count as well; anything else is an error, which the reference reads as false.
 */
export function readBool(json: JsonValue, name: string, missing: bool, errors: ConfigErrors): bool {
  const value = json.get(name);
  if (!value.exists) return missing;
  if (!isBool(value)) errors.addUnlessStrict(`${name} is ${describeValue(value)}: expected true or false`);
  return value.isTrue;
}

function isBool(value: JsonValue): bool {
  if (value.kind == JsonKind.Bool || value.isNumber) return true;
  if (!value.isString) return false;
  const text = lowerCase(value.text());
  return value.isTrue || text == "false" || text == "f" || text == "0";
}

/** Reads a number between two limits; `missing` where it is not there. */
export function readNumber(
  json: JsonValue,
  name: string,
  missing: f64,
  least: f64,
  most: f64,
  errors: ConfigErrors,
): f64 {
  const value = json.get(name);
  if (!value.exists) return missing;
  if (value.isNumber && value.number >= least && value.number <= most) return value.number;
  errors.add(`${name} is ${describeValue(value)}: expected a number from ${show(least)} to ${show(most)}`);
  return missing;
}

function show(value: f64): string {
  return value == Math.floor(value) ? (value as i64).toString() : value.toString();
}

/** Reads a list of texts; one text counts as a list of itself. `path` is the list's name in messages. */
export function readTexts(value: JsonValue, path: string, errors: ConfigErrors): string[] {
  const items = value.list();
  const texts: string[] = [];
  for (let i = 0; i < items.length; i++) {
    const text = items[i].text();
    if (text == "" || items[i].isObject || items[i].isArray)
      errors.addUnlessStrict(
        `${path}[${i}] is ${describeValue(items[i])}: expected a text that is not empty`,
      );
    texts.push(text);
  }
  return texts;
}

/** Warns of members that nobody reads. Those of rules, `strict` and `_plugin_id_` are known. */
export function warnUnknown(json: JsonValue, known: string[], errors: ConfigErrors): void {
  const names = json.names();
  for (let i = 0; i < names.length; i++) {
    const name = names[i];
    if (known.includes(name) || name == "strict" || (name.startsWith("_") && name.endsWith("_"))) continue;
    errors.warn(`${name} is not read here; what is read: ${known.join(", ")}`);
  }
}
