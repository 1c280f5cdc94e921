import {
  ConfigErrors,
  describeValue,
  isLogged,
  JsonValue,
  LogLevel,
  Property,
  readBool,
  readNumber,
  readTexts,
  warnUnknown,
} from "@wasmline/plugin-sdk/assembly";
import { lowerCase } from "@wasmline/plugin-sdk/assembly/ascii";
import { BodyConfig } from "./captured-body";
import { Field } from "./field";
import { createField, listFields } from "./fields";
import { readMilliseconds } from "./property-fields";
import { Redaction } from "./redaction";

const MEMBERS = ["fields", "sampling", "slow_threshold", "level", "redact", "body"];
const REDACT_MEMBERS = ["headers", "fields", "defaults"];
const BODY_MEMBERS = ["limit", "types"];
const DEFAULT_FIELDS = ["method", "path", "host", "status", "duration"];
const LEVELS = ["debug", "info", "warn", "error"];
const MAX_FIELDS = 100;
const MAX_BODY: f64 = 65536;
const MAX_THRESHOLD: f64 = 86400000;
const NEVER: f64 = -1;

const duration = new Property(["request", "duration"]);

export class LoggerConfig {
  names: string[] = DEFAULT_FIELDS;
  fields: Field[] = [];
  /** Part of the requests that get a line, from 0 to 1. */
  sampling: f64 = 1;
  /** Requests that take so many milliseconds always get a line; negative for none. */
  slowThreshold: f64 = NEVER;
  level: LogLevel = LogLevel.Info;
  redaction: Redaction = new Redaction();
  body: BodyConfig = new BodyConfig();
  logsRequestBody: bool = false;
  logsResponseBody: bool = false;
  private due: f64 = 0;

  /** Whether this request gets a line. Samples are spread evenly, not drawn. */
  takesSample(): bool {
    this.due += this.sampling;
    if (this.due < 1) return false;
    this.due -= 1;
    return true;
  }

  /** Whether some request could get a line now. */
  mayLog(): bool {
    if (this.sampling > 0 && isLogged(this.level)) return true;
    return this.slowThreshold >= 0 && isLogged(this.slowLevel);
  }

  /** Level of the line for a slow request. */
  get slowLevel(): LogLevel {
    return this.level > LogLevel.Warn ? this.level : LogLevel.Warn;
  }

  /** Whether the request that ends now was slow. */
  isSlow(): bool {
    return this.slowThreshold >= 0 && readMilliseconds(duration) >= this.slowThreshold;
  }
}

/** Reads a configuration without another one behind it. */
export function parseConfig(json: JsonValue, errors: ConfigErrors): LoggerConfig {
  const base = new LoggerConfig();
  base.redaction.addDefaults();
  return parseOnto(base, json, errors);
}

/** Reads a configuration that has what it does not say from `base`. */
export function parseOnto(base: LoggerConfig, json: JsonValue, errors: ConfigErrors): LoggerConfig {
  const config = new LoggerConfig();
  config.sampling = readNumber(json, "sampling", base.sampling, 0, 1, errors);
  config.slowThreshold = readNumber(json, "slow_threshold", base.slowThreshold, 0, MAX_THRESHOLD, errors);
  config.level = readLevel(json.get("level"), base.level, errors);
  config.redaction = readRedaction(json.get("redact"), base.redaction, errors);
  config.body = readBody(json.get("body"), base.body, errors);
  config.names = readNames(json.get("fields"), base.names, errors);
  for (let i = 0; i < config.names.length; i++) addField(config.names[i], i, config, errors);
  warnUnknown(json, MEMBERS, errors);
  return config;
}

function readNames(value: JsonValue, missing: string[], errors: ConfigErrors): string[] {
  if (!value.exists) return missing;
  const names = readTexts(value, "fields", errors);
  if (names.length == 0) errors.add(`fields is ${describeValue(value)}: expected at least one name`);
  if (names.length <= MAX_FIELDS) return names;
  errors.add(`fields has ${names.length} names: expected at most ${MAX_FIELDS}`);
  return [];
}

function addField(name: string, index: i32, config: LoggerConfig, errors: ConfigErrors): void {
  const field = createField(name, config.redaction);
  if (field === null) {
    errors.add(`fields[${index}] is "${name}": not a field that can be logged; there are ${listFields()}`);
    return;
  }
  if (config.names.indexOf(name) < index) errors.add(`fields[${index}] is "${name}", which is there before`);
  config.fields.push(field);
  if (field.readsRequestBody) config.logsRequestBody = true;
  if (field.readsResponseBody) config.logsResponseBody = true;
}

function readLevel(value: JsonValue, missing: LogLevel, errors: ConfigErrors): LogLevel {
  if (!value.exists) return missing;
  const at = LEVELS.indexOf(value.text());
  if (at < 0) errors.add(`level is ${describeValue(value)}: expected one of ${LEVELS.join(", ")}`);
  return at < 0 ? missing : ((at + LogLevel.Debug) as LogLevel);
}

function readRedaction(value: JsonValue, base: Redaction, errors: ConfigErrors): Redaction {
  if (!value.exists) return base;
  if (!value.isObject) errors.add(`redact is ${describeValue(value)}: expected an object`);
  const inner = new ConfigErrors(errors.isStrict);
  const redaction = readBool(value, "defaults", true, inner) ? base.copy() : new Redaction();
  redaction.addHeaders(readTexts(value.get("headers"), "headers", inner));
  redaction.addFields(readTexts(value.get("fields"), "fields", inner));
  warnUnknown(value, REDACT_MEMBERS, inner);
  errors.addAll("redact", inner);
  return redaction;
}

function readBody(value: JsonValue, base: BodyConfig, errors: ConfigErrors): BodyConfig {
  if (!value.exists) return base;
  if (!value.isObject) errors.add(`body is ${describeValue(value)}: expected an object`);
  const inner = new ConfigErrors(errors.isStrict);
  const body = new BodyConfig();
  body.limit = readNumber(value, "limit", base.limit, 1, MAX_BODY, inner) as i32;
  body.types = base.types;
  if (value.get("types").exists) {
    body.types = readTexts(value.get("types"), "types", inner).map<string>((type) => lowerCase(type));
  }
  warnUnknown(value, BODY_MEMBERS, inner);
  errors.addAll("body", inner);
  return body;
}
