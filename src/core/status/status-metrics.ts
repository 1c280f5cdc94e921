import { Counter, Gauge, type Registry } from "prom-client";

/** Counts what a core writes into the cluster, and says whether it is the one that does. */
export function addStatusMetrics(registry: Registry, leads: () => boolean) {
  const registers = [registry];
  new Gauge({
    registers,
    name: "wasmline_core_leader",
    help: "1 where this core leads and writes the status of plugins, else 0",
    collect() {
      this.set(leads() ? 1 : 0);
    },
  });
  const writes = new Counter({
    registers,
    name: "wasmline_status_writes_total",
    help: "Requests that wrote a status or an event into the cluster, by what and by outcome",
    labelNames: ["what", "result"],
  });
  return {
    countWrite: (what: "status" | "event", result: "success" | "failure") => writes.inc({ what, result }),
  };
}
