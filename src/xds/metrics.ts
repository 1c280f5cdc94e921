import { Counter, Gauge, type Registry } from "prom-client";
import type { XdsServer } from "./server.ts";

/** Metrics of an xDS server under istiod's names, read when they are asked for. */
export function addServerMetrics(registry: Registry, server: XdsServer): void {
  new Gauge({
    name: "pilot_xds",
    help: "Clients connected by xDS",
    registers: [registry],
    collect() {
      this.set(server.clients().length);
    },
  });
  new Counter({
    name: "wasmline_xds_refused_streams_total",
    help: "Streams that were refused, by the gRPC code that the client got",
    labelNames: ["code"],
    registers: [registry],
    collect() {
      this.reset();
      for (const [code, count] of server.refusals()) this.inc({ code }, count);
    },
  });
  new Gauge({
    name: "pilot_xds_rejected_resources",
    help: "Resources whose latest version a client refused",
    labelNames: ["type"],
    registers: [registry],
    collect() {
      this.reset();
      for (const { subscriptions } of server.clients()) {
        for (const { typeUrl, rejected } of subscriptions)
          if (rejected.size > 0) this.inc({ type: typeUrl }, rejected.size);
      }
    },
  });
}
