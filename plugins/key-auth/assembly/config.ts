import { ConfigErrors, JsonValue } from "../../../sdk/assembly";

/** Whether every request needs a key, or only those for which a rule says who is allowed. */
export enum GlobalAuth {
  /** Every request as long as there is no rule. */
  Unset,
  On,
  Off,
}

export class KeyAuthConfig {
  globalAuth: GlobalAuth = GlobalAuth.Unset;
  /** Names of the headers or query parameters that may carry a key. */
  keys: string[] = [];
  inHeader: bool = false;
  inQuery: bool = false;
  /** Name of each consumer by its credential. */
  consumers: Map<string, string> = new Map<string, string>();
  /** Consumers that a rule allows; empty where no rule applies. */
  allow: string[] = [];
}

export function parseGlobal(json: JsonValue, errors: ConfigErrors): KeyAuthConfig {
  const config = new KeyAuthConfig();
  const globalAuth = json.get("global_auth");
  if (globalAuth.exists) config.globalAuth = globalAuth.isTrue ? GlobalAuth.On : GlobalAuth.Off;
  const keys = readList(json, "keys", errors);
  for (let i = 0; i < keys.length; i++) config.keys.push(keys[i].text());
  const inQuery = json.get("in_query");
  const inHeader = json.get("in_header");
  if (!inQuery.exists && !inHeader.exists) errors.add("must one of in_query/in_header required");
  config.inQuery = inQuery.isTrue;
  config.inHeader = inHeader.isTrue;
  const consumers = readList(json, "consumers", errors);
  for (let i = 0; i < consumers.length; i++) addConsumer(consumers[i], `consumers[${i}]`, config, errors);
  return config;
}

export function parseRule(rule: JsonValue, global: KeyAuthConfig, errors: ConfigErrors): KeyAuthConfig {
  const config = new KeyAuthConfig();
  config.globalAuth = global.globalAuth;
  config.keys = global.keys;
  config.inHeader = global.inHeader;
  config.inQuery = global.inQuery;
  config.consumers = global.consumers;
  const allow = readList(rule, "allow", errors);
  for (let i = 0; i < allow.length; i++) config.allow.push(allow[i].text());
  return config;
}

function readList(json: JsonValue, name: string, errors: ConfigErrors): JsonValue[] {
  const value = json.get(name);
  const list = value.list();
  if (!value.exists) errors.add(`${name} is required`);
  else if (list.length == 0) errors.add(`${name} cannot be empty`);
  return list;
}

function addConsumer(consumer: JsonValue, path: string, config: KeyAuthConfig, errors: ConfigErrors): void {
  const name = consumer.get("name").text();
  const credential = consumer.get("credential").text();
  if (name == "") errors.add(`consumer name is required: ${path}.name is empty or left out`);
  if (credential == "")
    errors.add(`consumer credential is required: ${path}.credential is empty or left out`);
  // Unlike Higress: the message names the consumers, because the credential is a secret.
  if (config.consumers.has(credential)) {
    errors.add(`duplicate consumer credential: ${path} has the one of ${config.consumers.get(credential)}`);
  } else if (credential != "") {
    config.consumers.set(credential, name);
  }
}
