import {
  ConfigErrors,
  HttpFilter,
  isLogged,
  JsonValue,
  logInfo,
  LogLevel,
  Plugin,
  registerPlugin,
} from "../../../sdk/assembly";
import { LoggerConfig, parseConfig } from "./config";
import { writeLine } from "./line";

export * from "../../../sdk/assembly/exports";

/** Writes one line for a request when it is complete. */
class EasyLogger extends HttpFilter {
  constructor(private config: LoggerConfig) {
    super();
  }

  onLog(): void {
    if (isLogged(LogLevel.Info) && this.config.takesSample()) logInfo(writeLine(this.config.fields));
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

  createFilter(config: LoggerConfig): HttpFilter {
    return new EasyLogger(config);
  }
}

registerPlugin(() => new EasyLoggerPlugin());
