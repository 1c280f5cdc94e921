import { ConfigErrors } from "../config-errors";
import { JsonValue } from "../json/value";
import { Plugin } from "../plugin";
import { RuleConditions } from "./conditions";
import { StreamFacts } from "./stream-facts";
import { NO_RULE, RuleIndex } from "./rule-index";

const RULES = "_rules_";
const PLUGIN_ID = "_plugin_id_";
const STRICT = "strict";
const NO_RULES = "parse config failed, no valid rules; global config parse error:<nil>";
const NO_CONDITION =
  "there is at least one of  '_match_route_', '_match_domain_', '_match_service_' and '_match_route_prefix_' can present in configuration.";

/**
 * Decides which configuration applies to a stream, with the meaning that Higress's Go SDK gives to `_rules_`: the first
 * rule that matches, else the global configuration, else none.
 */
export class RuleMatcher<C> {
  private globalErrors: ConfigErrors = new ConfigErrors();
  private rules: C[] = [];
  private index: RuleIndex = new RuleIndex();
  private global: C = instantiate<C>();
  private hasGlobal: bool = false;
  private facts: StreamFacts = new StreamFacts();

  /** Reads the whole configuration of a plugin; adds to `errors` what keeps it from starting. */
  parse(json: JsonValue, plugin: Plugin<C>, errors: ConfigErrors): void {
    if (countMembers(json) == 0) {
      const global = plugin.parseConfig(json, errors);
      this.useGlobal(global);
      return;
    }
    const rules = json.get(RULES).list();
    if (countMembers(json) > (json.get(RULES).exists ? 1 : 0)) this.parseGlobal(json, plugin, errors);
    if (rules.length == 0 && !this.hasGlobal) {
      if (this.globalErrors.isEmpty) errors.add(NO_RULES);
      const messages = this.globalErrors.list();
      for (let i = 0; i < messages.length; i++) errors.add(messages[i]);
    }
    for (let i = 0; i < rules.length; i++) {
      const ruleErrors = new ConfigErrors(errors.isStrict);
      this.parseRule(rules[i], plugin, ruleErrors);
      errors.addAll(`${RULES}[${i}]`, ruleErrors);
    }
  }

  /** Why the global configuration is not used although it is there; "" when it is, or when there is none. */
  get globalError(): string {
    return this.globalErrors.text();
  }

  /** Configuration for the current stream, known from its request headers on; null when none applies. */
  match(): C | null {
    const rule = this.index.find(this.facts);
    if (rule >= 0) return this.rules[rule];
    return rule == NO_RULE && this.hasGlobal ? this.global : null;
  }

  private parseGlobal(json: JsonValue, plugin: Plugin<C>, all: ConfigErrors): void {
    const errors = new ConfigErrors(all.isStrict);
    const global = plugin.parseConfig(json, errors);
    all.addWarnings("", errors);
    if (errors.isEmpty) this.useGlobal(global);
    else this.globalErrors = errors;
  }

  private parseRule(rule: JsonValue, plugin: Plugin<C>, errors: ConfigErrors): void {
    const conditions = new RuleConditions(rule);
    if (conditions.isEmpty) {
      errors.add(NO_CONDITION);
      return;
    }
    const config = plugin.parseOverride(rule, this.global, errors);
    this.index.add(this.rules.length, conditions);
    this.rules.push(config);
  }

  private useGlobal(config: C): void {
    this.global = config;
    this.hasGlobal = true;
  }
}

/** Members that count as configuration: not the log tag `_plugin_id_`, nor `strict`, which says how to read the others. */
function countMembers(json: JsonValue): i32 {
  const count = json.names().length - (json.get(PLUGIN_ID).text() != "" ? 1 : 0);
  return count - (json.get(STRICT).exists ? 1 : 0);
}
