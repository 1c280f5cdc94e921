import { readBuffer } from "./body";
import { ConfigErrors } from "./config-errors";
import { currentContext, PluginContext, StreamContext } from "./context";
import { Action, BufferType } from "./enums";
import { parseJson } from "./json/parser";
import { emptyObject, JsonValue } from "./json/value";
import { LocalResponse } from "./local-response";
import { logError, logWarn } from "./log";
import { Property } from "./properties";
import { forgetRules, keepRules } from "./rules/known-rules";
import { RuleMatcher } from "./rules/rule-matcher";

/**
 * A plugin with a configuration for everything and rules for some domains, routes and services. `C` is the plugin's own
 * configuration class; it needs a constructor without arguments.
 */
export abstract class Plugin<C> extends PluginContext {
  private matcher: RuleMatcher<C> = new RuleMatcher<C>();
  private pluginId: string = "";
  /** What stays the same from one configuration of the plugin to the next. */
  private key: string = "";

  /** Reads a configuration. Say in `errors` what is wrong with it; what is returned then is not used. */
  abstract parseConfig(json: JsonValue, errors: ConfigErrors): C;

  /** Reads a rule's configuration; `global` is a `new C()` when there is no usable global one. */
  parseOverride(rule: JsonValue, global: C, errors: ConfigErrors): C {
    return this.parseConfig(rule, errors);
  }

  /** Makes the filter of a stream to which `config` applies. A filter that keeps no state may be shared. */
  abstract createFilter(config: C): HttpFilter;

  /** Whether streams that an earlier plugin answered get a filter for `onLog`, for plugins that log every request. */
  get logsAnsweredStreams(): bool {
    return false;
  }

  configure(size: u32): bool {
    const isConfigured = this.readConfig(size);
    // The JSON tree can be larger than what a plugin keeps of it. Collected now, it is never part of the memory that
    // requests find in use, and which the collector lets double before it works.
    __collect();
    return isConfigured;
  }

  /** The configuration's `_plugin_id_`, by which a control plane tags the plugin's lines in the log; "" when it has none. */
  get id(): string {
    return this.pluginId;
  }

  onDelete(): void {
    forgetRules(this.key, currentContext());
  }

  private readConfig(size: u32): bool {
    const json = readConfiguration(size);
    if (json === null) return false;
    this.pluginId = json.get("_plugin_id_").text();
    const errors = new ConfigErrors(json.get("strict").isTrue);
    const hasRules = json.get("_rules_").exists;
    if (hasRules) this.key = keyOf(this.pluginId);
    const matcher = new RuleMatcher<C>(this.key, errors.isStrict);
    matcher.parse(json, this, errors);
    reportConfig(errors, matcher.kept);
    if (!errors.isEmpty) return false;
    if (matcher.globalError != "") logWarn("global configuration is not used: " + matcher.globalError);
    if (hasRules && !errors.isStrict) keepRules(this.key, currentContext(), matcher.known);
    this.matcher = matcher;
    return true;
  }

  createStream(): StreamContext {
    return new PluginStream<C>(this);
  }

  /** The filter for the current stream; null when no configuration applies to it. */
  selectFilter(): HttpFilter | null {
    const config = this.matcher.match();
    if (config !== null) return this.createFilter(config);
    return this.matcher.isUnreadable ? refusal : null;
  }
}

/** One stream to which a plugin's configuration applies. Override what the plugin needs. */
export abstract class HttpFilter extends StreamContext {}

/** For streams of a rule that cannot be read: what it would have refused must not pass. */
class Refusal extends HttpFilter {
  private response: LocalResponse = new LocalResponse(503, [], "", "unreadable_rule");

  onRequestHeaders(endOfStream: bool): Action {
    this.response.send();
    return Action.Pause;
  }
}

const refusal = new Refusal();

/** Gives the stream to a filter as soon as the request's headers say which configuration applies. */
class PluginStream<C> extends StreamContext {
  private filter: HttpFilter | null = null;
  private isMatched: bool = false;

  constructor(private plugin: Plugin<C>) {
    super();
  }

  onRequestHeaders(endOfStream: bool): Action {
    this.select();
    const filter = this.filter;
    return filter === null ? Action.Continue : filter.onRequestHeaders(endOfStream);
  }

  onRequestBody(size: u32, endOfStream: bool): Action {
    const filter = this.filter;
    return filter === null ? Action.Continue : filter.onRequestBody(size, endOfStream);
  }

  onRequestTrailers(): Action {
    const filter = this.filter;
    return filter === null ? Action.Continue : filter.onRequestTrailers();
  }

  onResponseHeaders(endOfStream: bool): Action {
    const filter = this.filter;
    return filter === null ? Action.Continue : filter.onResponseHeaders(endOfStream);
  }

  onResponseBody(size: u32, endOfStream: bool): Action {
    const filter = this.filter;
    return filter === null ? Action.Continue : filter.onResponseBody(size, endOfStream);
  }

  onResponseTrailers(): Action {
    const filter = this.filter;
    return filter === null ? Action.Continue : filter.onResponseTrailers();
  }

  onLog(): void {
    if (!this.isMatched && this.plugin.logsAnsweredStreams) this.select();
    const filter = this.filter;
    if (filter !== null) filter.onLog();
  }

  onDone(): void {
    const filter = this.filter;
    if (filter !== null) filter.onDone();
  }

  private select(): void {
    this.isMatched = true;
    this.filter = this.plugin.selectFilter();
  }
}

/** Says what is wrong with a configuration, and what is odd about it. */
function reportConfig(errors: ConfigErrors, kept: ConfigErrors): void {
  const warnings = errors.warnings();
  for (let i = 0; i < warnings.length; i++) logWarn("configuration: " + warnings[i]);
  const messages = errors.list();
  for (let i = 0; i < messages.length; i++) logError("configuration: " + messages[i]);
  const rules = kept.list();
  for (let i = 0; i < rules.length; i++) {
    logError("configuration: " + rules[i] + "; the last good version of this rule stays in effect");
  }
}

/** What names the plugin from one configuration to the next. */
function keyOf(pluginId: string): string {
  if (pluginId != "") return pluginId;
  const name = pluginName.text();
  const root = pluginRootId.text();
  return (name === null ? "" : name) + "/" + (root === null ? "" : root);
}

const pluginName = new Property(["plugin_name"]);
const pluginRootId = new Property(["plugin_root_id"]);

/** The configuration as JSON; an empty object when there is none, null when it is not JSON. */
function readConfiguration(size: u32): JsonValue | null {
  if (size == 0) return emptyObject();
  const bytes = readBuffer(BufferType.PluginConfiguration);
  if (bytes === null || bytes.byteLength == 0) return emptyObject();
  const result = parseJson(bytes);
  if (result.value === null) logError("configuration is not JSON: " + result.error);
  return result.value;
}
