import { readBuffer } from "./body";
import { ConfigErrors } from "./config-errors";
import { PluginContext, StreamContext } from "./context";
import { Action, BufferType } from "./enums";
import { parseJson } from "./json/parser";
import { emptyObject, JsonValue } from "./json/value";
import { logError, logWarn } from "./log";
import { RuleMatcher } from "./rules/rule-matcher";

/**
 * A plugin with a configuration for everything and rules for some domains, routes and services. `C` is the plugin's own
 * configuration class; it needs a constructor without arguments.
 */
export abstract class Plugin<C> extends PluginContext {
  private matcher: RuleMatcher<C> = new RuleMatcher<C>();

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

  private readConfig(size: u32): bool {
    const json = readConfiguration(size);
    if (json === null) return false;
    const errors = new ConfigErrors(json.get("strict").isTrue);
    const matcher = new RuleMatcher<C>();
    matcher.parse(json, this, errors);
    const warnings = errors.warnings();
    for (let i = 0; i < warnings.length; i++) logWarn("configuration: " + warnings[i]);
    const messages = errors.list();
    for (let i = 0; i < messages.length; i++) logError("configuration: " + messages[i]);
    if (messages.length > 0) return false;
    if (matcher.globalError != "") logWarn("global configuration is not used: " + matcher.globalError);
    this.matcher = matcher;
    return true;
  }

  createStream(): StreamContext {
    return new PluginStream<C>(this);
  }

  /** The filter for the current stream; null when no configuration applies to it. */
  selectFilter(): HttpFilter | null {
    const config = this.matcher.match();
    return config === null ? null : this.createFilter(config);
  }
}

/** One stream to which a plugin's configuration applies. Override what the plugin needs. */
export abstract class HttpFilter extends StreamContext {}

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

  private select(): void {
    this.isMatched = true;
    this.filter = this.plugin.selectFilter();
  }
}

/** The configuration as JSON; an empty object when there is none, null when it is not JSON. */
function readConfiguration(size: u32): JsonValue | null {
  if (size == 0) return emptyObject();
  const bytes = readBuffer(BufferType.PluginConfiguration);
  if (bytes === null || bytes.byteLength == 0) return emptyObject();
  const result = parseJson(bytes);
  if (result.value === null) logError("configuration is not JSON: " + result.error);
  return result.value;
}
