import { ConfigErrors, JsonValue } from "../../../sdk/assembly";
import { createField, Field } from "./fields";

const DEFAULT_FIELDS = ["method", "path", "host", "status", "duration"];

export class LoggerConfig {
  fields: Field[] = [];
  /** Part of the requests that get a line, from 0 to 1. */
  sampling: f64 = 1;
  private due: f64 = 0;

  /** Whether this request gets a line. Samples are spread evenly, not drawn. */
  takesSample(): bool {
    this.due += this.sampling;
    if (this.due < 1) return false;
    this.due -= 1;
    return true;
  }
}

export function parseConfig(json: JsonValue, errors: ConfigErrors): LoggerConfig {
  const config = new LoggerConfig();
  const names = readNames(json);
  for (let i = 0; i < names.length; i++) {
    const field = createField(names[i]);
    if (field !== null) config.fields.push(field);
    else errors.add(`fields[${i}] is "${names[i]}": not a field that can be logged`);
  }
  const sampling = json.get("sampling");
  if (sampling.exists) config.sampling = sampling.number;
  if (sampling.exists && !(sampling.isNumber && sampling.number >= 0 && sampling.number <= 1)) {
    errors.add(`sampling is ${sampling.raw()}: expected a number from 0 to 1`);
  }
  return config;
}

function readNames(json: JsonValue): string[] {
  if (!json.get("fields").exists) return DEFAULT_FIELDS;
  return json
    .get("fields")
    .list()
    .map<string>((item) => item.text());
}
