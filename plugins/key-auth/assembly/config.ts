import {
  ConfigErrors,
  describeValue,
  JsonValue,
  readBool,
  readTexts,
  warnUnknown,
} from "@wasmline/plugin-sdk/assembly";
import { lowerCase } from "@wasmline/plugin-sdk/assembly/ascii";

/** Whether every request needs a key, or only those for which a rule says who is allowed. */
export enum GlobalAuth {
  /** Every request as long as there is no rule. */
  Unset,
  On,
  Off,
}

const GLOBAL_MEMBERS = ["keys", "in_header", "in_query", "consumers", "global_auth"];
const RULE_MEMBERS = ["allow"];

export class KeyAuthConfig {
  globalAuth: GlobalAuth = GlobalAuth.Unset;
  /** Names of the headers or query parameters that may carry a key. */
  keys: string[] = [];
  inHeader: bool = false;
  inQuery: bool = false;
  /** Name of each consumer by its credential. */
  consumers: Map<string, string> = new Map<string, string>();
  names: Set<string> = new Set<string>();
  /** Consumers that a rule allows; empty where no rule applies. */
  allow: Set<string> = new Set<string>();
  /** Whether some rule says who is allowed, in the global configuration. */
  hasRules: bool = false;
  /** Whether the consumer's name is put beside what the client sent, as the reference does. */
  keepsClientsName: bool = false;

  /** Whether a request to which this configuration applies needs a key. */
  get asksForKey(): bool {
    if (this.allow.size > 0) return true;
    return this.globalAuth == GlobalAuth.Unset ? !this.hasRules : this.globalAuth == GlobalAuth.On;
  }
}

/** Reads the configuration that says who is known. */
export function parseGlobal(json: JsonValue, errors: ConfigErrors): KeyAuthConfig {
  const config = new KeyAuthConfig();
  config.keepsClientsName = errors.isStrict;
  const isOn = readBool(json, "global_auth", false, errors);
  if (json.get("global_auth").exists) config.globalAuth = isOn ? GlobalAuth.On : GlobalAuth.Off;
  requireItems(json, "keys", errors);
  config.keys = readTexts(json.get("keys"), "keys", errors);
  config.inQuery = readBool(json, "in_query", false, errors);
  config.inHeader = readBool(json, "in_header", false, errors);
  if (!json.get("in_query").exists && !json.get("in_header").exists)
    errors.add("must one of in_query/in_header required: neither is there");
  checkTwice(config.keys, config.inHeader, errors);
  requireItems(json, "consumers", errors);
  const consumers = json.get("consumers").list();
  for (let i = 0; i < consumers.length; i++) addConsumer(consumers[i], `consumers[${i}]`, config, errors);
  warnUnknown(json, GLOBAL_MEMBERS, errors);
  return config;
}

/** Reads a rule, which says who is allowed; everything else is the global configuration's. */
export function parseRule(rule: JsonValue, global: KeyAuthConfig, errors: ConfigErrors): KeyAuthConfig {
  global.hasRules = true;
  const config = new KeyAuthConfig();
  config.globalAuth = global.globalAuth;
  config.keys = global.keys;
  config.inHeader = global.inHeader;
  config.inQuery = global.inQuery;
  config.consumers = global.consumers;
  config.keepsClientsName = errors.isStrict;
  requireItems(rule, "allow", errors);
  const allow = readTexts(rule.get("allow"), "allow", errors);
  for (let i = 0; i < allow.length; i++) {
    config.allow.add(allow[i]);
    if (global.names.size > 0 && !global.names.has(allow[i]))
      errors.warn(`allow[${i}] is "${allow[i]}": no consumer has this name`);
  }
  warnUnknown(rule, RULE_MEMBERS, errors);
  return config;
}

function requireItems(json: JsonValue, name: string, errors: ConfigErrors): void {
  const value = json.get(name);
  if (!value.exists) errors.add(`${name} is required`);
  else if (value.list().length == 0) errors.add(`${name} cannot be empty: it is ${describeValue(value)}`);
}

/** A key that is read twice makes every request one with two keys. Names of headers are the same in any letter case. */
function checkTwice(keys: string[], inHeader: bool, errors: ConfigErrors): void {
  const seen = new Set<string>();
  for (let i = 0; i < keys.length; i++) {
    const key = inHeader ? lowerCase(keys[i]) : keys[i];
    if (seen.has(key))
      errors.addUnlessStrict(`keys[${i}] is "${keys[i]}", which is there before: every request would be denied`);
    seen.add(key);
  }
}

function addConsumer(consumer: JsonValue, path: string, config: KeyAuthConfig, errors: ConfigErrors): void {
  const name = consumer.get("name").text();
  const credential = consumer.get("credential").text();
  if (name == "") errors.add(`consumer name is required: ${path}.name is empty or left out`);
  if (credential == "")
    errors.add(`consumer credential is required: ${path}.credential is empty or left out`);
  if (!isText(consumer.get("name")) || !isText(consumer.get("credential")))
    errors.addUnlessStrict(`${path} has a list or an object for its name or credential: expected texts`);
  // Unlike Higress: the message names the consumers, because the credential is a secret.
  if (config.consumers.has(credential)) {
    errors.add(`duplicate consumer credential: ${path} has the one of ${config.consumers.get(credential)}`);
  } else if (credential != "") {
    config.consumers.set(credential, name);
    config.names.add(name);
  }
}

function isText(value: JsonValue): bool {
  return !value.isObject && !value.isArray;
}
