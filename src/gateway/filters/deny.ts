import { HeadersAction } from "../../proxy-wasm/index.ts";
import type { GatewayReply } from "../local-replies.ts";
import type { NativeFilter } from "./native-filter.ts";
import { passThrough } from "./pass-through.ts";

/** Answers every request with the same reply. */
export function createDenyFilter(reply: GatewayReply): NativeFilter {
  return {
    createFor: (stream) => ({
      ...passThrough,
      onHeaders(direction) {
        if (direction === "response") return HeadersAction.Continue;
        stream.reply(reply);
        return HeadersAction.StopAllIterationAndWatermark;
      },
    }),
  };
}
