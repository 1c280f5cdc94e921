import type { FilterCallbacks, HttpFilter } from "../../proxy-wasm/index.ts";
import type { HttpStream } from "../http-stream.ts";
import type { NativeFilter, StreamFilter } from "./native-filter.ts";
import { passThrough } from "./pass-through.ts";

/**
 * A filter that a route switches on or off. As in Envoy the route that a request has when it comes decides, whatever
 * filters make of it later.
 */
export function createSwitchable(filter: StreamFilter, name: string, byDefault: boolean): NativeFilter {
  return {
    createFor(stream, callbacks) {
      let chosen: HttpFilter | undefined;
      const choose = () => {
        chosen ??= (stream.firstSwitch(name) ?? byDefault) ? begin(filter, stream, callbacks) : passThrough;
        return chosen;
      };
      return {
        onHeaders: (...args) => choose().onHeaders(...args),
        onData: (...args) => choose().onData(...args),
        onTrailers: (...args) => choose().onTrailers(...args),
        onLog: () => chosen?.onLog?.(),
        onDestroy: () => chosen?.onDestroy?.(),
      };
    },
  };
}

function begin(filter: StreamFilter, stream: HttpStream, callbacks: FilterCallbacks): HttpFilter {
  return "createFor" in filter ? filter.createFor(stream, callbacks) : filter.createFilter(callbacks);
}
