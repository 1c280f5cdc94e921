import {
  Action,
  ConfigErrors,
  HeaderMap,
  HttpFilter,
  JsonValue,
  Plugin,
  Property,
  registerPlugin,
  requestHeaders,
  responseHeaders,
} from "../../../sdk/assembly";
import { parseConfig, TransformerConfig } from "./config";
import { Operation } from "./operation";

export * from "../../../sdk/assembly/exports";

const clearRouteCache = new Property(["clear_route_cache"]);

/** Changes headers by rules, in the order in which they are written. */
class Transformer extends HttpFilter {
  constructor(private config: TransformerConfig) {
    super();
  }

  onRequestHeaders(endOfStream: bool): Action {
    if (!this.config.reroute) clearRouteCache.setText("off");
    transform(requestHeaders, this.config.request);
    return Action.Continue;
  }

  onResponseHeaders(endOfStream: bool): Action {
    transform(responseHeaders, this.config.response);
    return Action.Continue;
  }
}

function transform(headers: HeaderMap, operations: Operation[]): void {
  for (let i = 0; i < operations.length; i++) operations[i].apply(headers);
}

class TransformerPlugin extends Plugin<TransformerConfig> {
  parseConfig(json: JsonValue, errors: ConfigErrors): TransformerConfig {
    return parseConfig(json, errors);
  }

  createFilter(config: TransformerConfig): HttpFilter {
    return new Transformer(config);
  }
}

registerPlugin(() => new TransformerPlugin());
