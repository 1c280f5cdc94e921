import {
  Action,
  ConfigErrors,
  HttpFilter,
  JsonValue,
  Plugin,
  Property,
  registerPlugin,
  requestBody,
  requestHeaders,
  responseBody,
  responseHeaders,
} from "@wasmline/plugin-sdk/assembly";
import { parseConfig, TransformerConfig } from "./config";
import { HeaderTable } from "./header-table";
import { beginRequest, Message } from "./message";

/** Says to Higress that a held request's body is to come all the same. Envoy takes the marker below. */
export function proxy_abi_version_0_2_100(): void {}

export * from "@wasmline/plugin-sdk/assembly/exports";

const clearRouteCache = new Property(["clear_route_cache"]);

/** Changes requests and responses by rules, in the order in which they are written. */
class Transformer extends HttpFilter {
  private request: Message | null = null;
  private response: Message | null = null;
  private host: string = "";
  private path: string = "";

  constructor(private config: TransformerConfig) {
    super();
  }

  onRequestHeaders(endOfStream: bool): Action {
    const config = this.config;
    if (!config.reroute) clearRouteCache.setText("off");
    const response = config.response;
    if (response !== null && response.hasPatterns) this.keepPlace();
    const rules = config.request;
    if (rules === null) return Action.Continue;
    const request = beginRequest(config, rules, requestHeaders, requestBody);
    this.request = request;
    return request === null ? Action.Continue : request.begin(endOfStream);
  }

  onRequestBody(size: u32, endOfStream: bool): Action {
    const request = this.request;
    return request === null ? Action.Continue : request.continueBody(endOfStream);
  }

  onRequestTrailers(): Action {
    const request = this.request;
    if (request !== null) request.finish();
    return Action.Continue;
  }

  onResponseHeaders(endOfStream: bool): Action {
    const rules = this.config.response;
    if (rules === null) return Action.Continue;
    const table = new HeaderTable(responseHeaders);
    const response = new Message(
      false,
      this.config.strict,
      rules,
      responseBody,
      table,
      this.host,
      this.path,
    );
    this.response = response;
    return response.begin(endOfStream);
  }

  onResponseBody(size: u32, endOfStream: bool): Action {
    const response = this.response;
    return response === null ? Action.Continue : response.continueBody(endOfStream);
  }

  onResponseTrailers(): Action {
    const response = this.response;
    if (response !== null) response.finish();
    return Action.Continue;
  }

  /** Keeps what patterns for the response look at: the request as it came. */
  private keepPlace(): void {
    const host = requestHeaders.get(":authority");
    const path = requestHeaders.get(":path");
    this.host = host === null ? "" : host;
    this.path = path === null ? "" : path;
  }
}

class TransformerPlugin extends Plugin<TransformerConfig> {
  parseConfig(json: JsonValue, errors: ConfigErrors): TransformerConfig {
    return parseConfig(json, null, errors);
  }

  parseOverride(rule: JsonValue, global: TransformerConfig, errors: ConfigErrors): TransformerConfig {
    return parseConfig(rule, global, errors);
  }

  createFilter(config: TransformerConfig): HttpFilter {
    return new Transformer(config);
  }
}

registerPlugin(() => new TransformerPlugin());
