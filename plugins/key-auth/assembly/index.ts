import {
  Action,
  ConfigErrors,
  HttpFilter,
  JsonValue,
  Plugin,
  registerPlugin,
  requestHeaders,
} from "@wasmline/plugin-sdk/assembly";
import { KeyAuthConfig, parseGlobal, parseRule } from "./config";
import { CONSUMER_HEADER, deny, Denial } from "./denial";
import { readTokens } from "./tokens";

export * from "@wasmline/plugin-sdk/assembly/exports";

/** Lets a request pass if it carries the key of a consumer that may use what it asks for. */
class KeyAuth extends HttpFilter {
  constructor(private config: KeyAuthConfig) {
    super();
  }

  onRequestHeaders(endOfStream: bool): Action {
    const config = this.config;
    if (!config.asksForKey) return Action.Continue;
    const tokens = readTokens(config);
    if (tokens.length > 1) return deny(Denial.MultipleKeys);
    if (tokens.length == 0) return deny(Denial.NoKey);
    if (!config.consumers.has(tokens[0])) return deny(Denial.Unauthorized);
    const consumer = config.consumers.get(tokens[0]);
    this.tellUpstream(consumer);
    if (config.allow.size > 0 && !config.allow.has(consumer)) return deny(Denial.Unauthorized);
    return Action.Continue;
  }

  private tellUpstream(consumer: string): void {
    // Unlike Higress: a name that the client wrote there itself is replaced. Beside it the upstream would read the
    // client's first, and take the request for another consumer's.
    if (this.config.keepsClientsName) requestHeaders.add(CONSUMER_HEADER, consumer);
    else requestHeaders.set(CONSUMER_HEADER, consumer);
  }
}

class KeyAuthPlugin extends Plugin<KeyAuthConfig> {
  parseConfig(json: JsonValue, errors: ConfigErrors): KeyAuthConfig {
    return parseGlobal(json, errors);
  }

  parseOverride(rule: JsonValue, global: KeyAuthConfig, errors: ConfigErrors): KeyAuthConfig {
    return parseRule(rule, global, errors);
  }

  createFilter(config: KeyAuthConfig): HttpFilter {
    return new KeyAuth(config);
  }
}

registerPlugin(() => new KeyAuthPlugin());
