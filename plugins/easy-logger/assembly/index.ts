import {
  Action,
  ConfigErrors,
  HttpFilter,
  isLogged,
  JsonValue,
  Plugin,
  registerPlugin,
  requestBody,
  requestHeaders,
  responseBody,
  responseHeaders,
} from "@wasmline/plugin-sdk/assembly";
import { logBytes } from "@wasmline/plugin-sdk/assembly/log";
import { LoggerConfig, parseConfig, parseOnto } from "./config";
import { Exchange } from "./exchange";
import { writeLine } from "./line";

export * from "@wasmline/plugin-sdk/assembly/exports";

/** Writes one line for a request when it is complete. */
class EasyLogger extends HttpFilter {
  private exchange: Exchange = new Exchange();

  constructor(private config: LoggerConfig) {
    super();
  }

  onRequestHeaders(endOfStream: bool): Action {
    const config = this.config;
    if (config.logsRequestBody && !endOfStream && config.mayLog())
      this.exchange.requestBody = config.body.begin(requestHeaders);
    return Action.Continue;
  }

  onRequestBody(size: u32, endOfStream: bool): Action {
    const captured = this.exchange.requestBody;
    if (captured !== null) captured.take(requestBody, size);
    return Action.Continue;
  }

  onResponseHeaders(endOfStream: bool): Action {
    const config = this.config;
    if (config.logsResponseBody && !endOfStream && config.mayLog())
      this.exchange.responseBody = config.body.begin(responseHeaders);
    return Action.Continue;
  }

  onResponseBody(size: u32, endOfStream: bool): Action {
    const captured = this.exchange.responseBody;
    if (captured !== null) captured.take(responseBody, size);
    return Action.Continue;
  }

  onLog(): void {
    const config = this.config;
    const isSampled = isLogged(config.level) && config.takesSample();
    const isSlow = config.isSlow() && isLogged(config.slowLevel);
    if (!isSampled && !isSlow) return;
    const line = writeLine(config.fields, this.exchange, isSlow);
    logBytes(isSlow ? config.slowLevel : config.level, line.start, line.size);
  }
}

class EasyLoggerPlugin extends Plugin<LoggerConfig> {
  /** A request that an earlier plugin denied belongs into the log as well. */
  get logsAnsweredStreams(): bool {
    return true;
  }

  parseConfig(json: JsonValue, errors: ConfigErrors): LoggerConfig {
    return parseConfig(json, errors);
  }

  parseOverride(rule: JsonValue, global: LoggerConfig, errors: ConfigErrors): LoggerConfig {
    // Without a usable global configuration there is nothing that a rule could have from it.
    return global.fields.length == 0 ? parseConfig(rule, errors) : parseOnto(global, rule, errors);
  }

  createFilter(config: LoggerConfig): HttpFilter {
    return new EasyLogger(config);
  }
}

registerPlugin(() => new EasyLoggerPlugin());
