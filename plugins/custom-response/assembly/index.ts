import {
  Action,
  ConfigErrors,
  HttpFilter,
  JsonValue,
  Plugin,
  registerPlugin,
  responseHeaders,
} from "@wasmline/plugin-sdk/assembly";
import { parseConfig } from "./config";
import { ResponseConfig } from "./response-config";

export * from "@wasmline/plugin-sdk/assembly/exports";

/** Answers every request, or replaces the upstream's responses that have one of the chosen status codes. */
class CustomResponse extends HttpFilter {
  constructor(private config: ResponseConfig) {
    super();
  }

  onRequestHeaders(endOfStream: bool): Action {
    const response = this.config.always;
    if (response === null) return Action.Continue;
    response.send();
    return Action.Pause;
  }

  onResponseHeaders(endOfStream: bool): Action {
    if (!this.config.byStatus.isUsed) return Action.Continue;
    const status = responseHeaders.get(":status");
    if (status === null) return Action.Continue;
    const response = this.config.byStatus.find(status);
    if (response !== null) response.send();
    return Action.Continue;
  }
}

class CustomResponsePlugin extends Plugin<ResponseConfig> {
  parseConfig(json: JsonValue, errors: ConfigErrors): ResponseConfig {
    return parseConfig(json, errors);
  }

  createFilter(config: ResponseConfig): HttpFilter {
    return new CustomResponse(config);
  }
}

registerPlugin(() => new CustomResponsePlugin());
