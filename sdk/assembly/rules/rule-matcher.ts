import { ConfigErrors } from "../config-errors";
import { parseJson } from "../json/parser";
import { JsonValue } from "../json/value";
import { Plugin } from "../plugin";
import { RuleConditions } from "./conditions";
import { findRuleText, isKnownElsewhere, KnownRules } from "./known-rules";
import { NO_RULE, RuleIndex } from "./rule-index";
import { StreamFacts } from "./stream-facts";

const RULES = "_rules_";
const PLUGIN_ID = "_plugin_id_";
const STRICT = "strict";
/** Routes times services of one rule. */
const MAX_PAIRS: i32 = 1000000;
/** When more rules than these cannot be read, the configuration is of another plugin. */
const MAX_KEPT: i32 = 1000;
const noText = new ArrayBuffer(0);
const NO_RULES = "parse config failed, no valid rules; global config parse error:<nil>";
const NO_CONDITION =
  "there is at least one of  '_match_route_', '_match_domain_', '_match_service_' and '_match_route_prefix_' can present in configuration.";

/**
 * Decides which configuration applies to a stream, with the meaning that Higress's Go SDK gives to `_rules_`: the first
 * rule that matches, else the global configuration, else none.
 */
export class RuleMatcher<C> {
  /** Rules that could be read, for the next configuration. */
  readonly known: KnownRules = new KnownRules();
  /** What is wrong with rules of which an earlier version is in effect. */
  readonly kept: ConfigErrors = new ConfigErrors();
  /** The rule that the last `match` found can not be read, and this VM has no earlier version of it. */
  isUnreadable: bool = false;
  private globalErrors: ConfigErrors = new ConfigErrors();
  private rules: C[] = [];
  private unreadable: i32[] = [];
  private keptCount: i32 = 0;
  private lastErrors: ConfigErrors = new ConfigErrors();
  private index: RuleIndex;
  private facts: StreamFacts;
  private global: C = instantiate<C>();
  private hasGlobal: bool = false;

  /** `pluginKey` is the same for all configurations of a plugin. */
  constructor(
    private pluginKey: string = "",
    isStrict: bool = false,
  ) {
    this.index = new RuleIndex(isStrict);
    this.facts = new StreamFacts(isStrict);
  }

  /** Reads the whole configuration of a plugin; adds to `errors` what keeps it from starting. */
  parse(json: JsonValue, plugin: Plugin<C>, errors: ConfigErrors): void {
    if (countMembers(json) == 0) {
      const global = plugin.parseConfig(json, errors);
      this.useGlobal(global);
      return;
    }
    const rules = json.get(RULES).list();
    if (countMembers(json) > (json.get(RULES).exists ? 1 : 0)) this.parseGlobal(json, plugin, errors);
    if (rules.length == 0 && !this.hasGlobal && this.globalErrors.isEmpty) errors.add(NO_RULES);
    // Unlike Higress: a global configuration that cannot be read is an error beside rules too. There it is left out in silence,
    // and requests that no rule matches get past the plugin.
    if (rules.length == 0 || !errors.isStrict) errors.addAll("", this.globalErrors);
    for (let i = 0; i < rules.length; i++) this.parseRule(rules[i], i, plugin, errors);
  }

  /** Why the global configuration is not used although it is there; "" when it is, or when there is none. */
  get globalError(): string {
    return this.globalErrors.text();
  }

  /** Configuration for the current stream, known from its request headers on; null when none applies. */
  match(): C | null {
    const rule = this.index.find(this.facts);
    this.isUnreadable = this.unreadable.length > 0 && this.unreadable.includes(rule);
    if (rule < 0) return rule == NO_RULE && this.hasGlobal ? this.global : null;
    return this.isUnreadable ? null : this.rules[rule];
  }

  private parseGlobal(json: JsonValue, plugin: Plugin<C>, all: ConfigErrors): void {
    const errors = new ConfigErrors(all.isStrict);
    const global = plugin.parseConfig(json, errors);
    all.addWarnings("", errors);
    if (errors.isEmpty) this.useGlobal(global);
    else this.globalErrors = errors.withoutWarnings();
  }

  private parseRule(rule: JsonValue, at: i32, plugin: Plugin<C>, all: ConfigErrors): void {
    const conditions = new RuleConditions(rule);
    if (!checkConditions(conditions, at, all)) return;
    const errors = this.ruleErrors(all.isStrict);
    const config = plugin.parseOverride(rule, this.global, errors);
    if (errors.isEmpty) {
      this.known.add(conditions.hash, rule.source, rule.start, rule.end);
      this.useRule(conditions, config);
      if (!errors.isSilent) all.addAll(pathOf(at), errors);
    } else if (!all.isStrict && this.keepRule(conditions, plugin)) {
      this.kept.addAll(pathOf(at), errors.withoutWarnings());
    } else {
      all.addAll(pathOf(at), errors);
    }
  }

  /** For the errors of one rule: those of the last one, unless there is something in it. */
  private ruleErrors(isStrict: bool): ConfigErrors {
    if (!this.lastErrors.isSilent || this.lastErrors.isStrict != isStrict) this.lastErrors = new ConfigErrors(isStrict);
    return this.lastErrors;
  }

  // Unlike Higress: a rule of which no version was ever read refuses the configuration, and does not just do nothing.
  /** Puts the last good version of a rule in its place; false when there is none. */
  private keepRule(conditions: RuleConditions, plugin: Plugin<C>): bool {
    if (++this.keptCount > MAX_KEPT) return false;
    const hash = conditions.hash;
    const text = findRuleText(this.pluginKey, hash);
    if (text !== null) return this.useText(text, conditions, plugin);
    if (!isKnownElsewhere(this.pluginKey, hash)) return false;
    this.known.add(hash, noText, 0, 0);
    this.unreadable.push(this.rules.length);
    this.useRule(conditions, this.global);
    return true;
  }

  private useText(text: ArrayBuffer, conditions: RuleConditions, plugin: Plugin<C>): bool {
    const rule = parseJson(text).value;
    if (rule === null) return false;
    const errors = new ConfigErrors();
    const config = plugin.parseOverride(rule, this.global, errors);
    if (!errors.isEmpty) return false;
    this.known.add(conditions.hash, text, 0, text.byteLength);
    this.useRule(conditions, config);
    return true;
  }

  private useRule(conditions: RuleConditions, config: C): void {
    this.index.add(this.rules.length, conditions);
    this.rules.push(config);
  }

  private useGlobal(config: C): void {
    this.global = config;
    this.hasGlobal = true;
  }
}

function pathOf(rule: i32): string {
  return `${RULES}[${rule}]`;
}

/** Whether a rule has conditions that can be used. */
function checkConditions(conditions: RuleConditions, at: i32, errors: ConfigErrors): bool {
  if (conditions.isEmpty) {
    errors.add(`${pathOf(at)}: ${NO_CONDITION}`);
    return false;
  }
  const ignored = conditions.ignored;
  if (ignored != "") errors.warn(`${pathOf(at)}: ${ignored}decides nothing: the rule is matched by another key`);
  if ((conditions.routes.length as i64) * conditions.services.length <= MAX_PAIRS) return true;
  errors.add(`${pathOf(at)}: more than ${MAX_PAIRS} pairs of routes and services: write several rules`);
  return false;
}

/** Members that count as configuration: not the log tag `_plugin_id_`, nor `strict`, which says how to read the others. */
function countMembers(json: JsonValue): i32 {
  const count = json.names().length - (json.get(PLUGIN_ID).text() != "" ? 1 : 0);
  return count - (json.get(STRICT).exists ? 1 : 0);
}
