import {
  Action,
  ConfigErrors,
  HttpFilter,
  JsonValue,
  Plugin,
  registerPlugin,
  requestHeaders,
} from "../../../sdk/assembly";
import { GlobalAuth, KeyAuthConfig, parseGlobal, parseRule } from "./config";
import { CONSUMER_HEADER, deny, Denial } from "./denial";
import { readTokens } from "./tokens";

export * from "../../../sdk/assembly/exports";

/** Lets a request pass if it carries the key of a consumer that may use what it asks for. */
class KeyAuth extends HttpFilter {
  constructor(
    private config: KeyAuthConfig,
    private hasRules: bool,
  ) {
    super();
  }

  onRequestHeaders(endOfStream: bool): Action {
    const config = this.config;
    if (config.allow.length == 0 && !this.isRequiredEverywhere()) return Action.Continue;
    const tokens = readTokens(config);
    if (tokens.length > 1) return deny(Denial.MultipleKeys);
    if (tokens.length == 0) return deny(Denial.NoKey);
    if (!config.consumers.has(tokens[0])) return deny(Denial.Unauthorized);
    const consumer = config.consumers.get(tokens[0]);
    requestHeaders.add(CONSUMER_HEADER, consumer);
    if (config.allow.length > 0 && !config.allow.includes(consumer)) return deny(Denial.Unauthorized);
    return Action.Continue;
  }

  /** Whether a request needs a key even where no rule says who is allowed. */
  private isRequiredEverywhere(): bool {
    if (this.config.globalAuth == GlobalAuth.Unset) return !this.hasRules;
    return this.config.globalAuth == GlobalAuth.On;
  }
}

class KeyAuthPlugin extends Plugin<KeyAuthConfig> {
  private hasRules: bool = false;

  parseConfig(json: JsonValue, errors: ConfigErrors): KeyAuthConfig {
    this.hasRules = false;
    return parseGlobal(json, errors);
  }

  parseOverride(rule: JsonValue, global: KeyAuthConfig, errors: ConfigErrors): KeyAuthConfig {
    this.hasRules = true;
    return parseRule(rule, global, errors);
  }

  createFilter(config: KeyAuthConfig): HttpFilter {
    return new KeyAuth(config, this.hasRules);
  }
}

registerPlugin(() => new KeyAuthPlugin());
