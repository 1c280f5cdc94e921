import { Action, BodyAction, HeadersAction, type HttpFilter } from "../../proxy-wasm/index.ts";

/** What filters that look at headers only do with the rest. */
export const passThrough: HttpFilter = {
  onHeaders: () => HeadersAction.Continue,
  onData: () => BodyAction.Continue,
  onTrailers: () => Action.Continue,
};
