import { Counter, Gauge, type Registry } from "prom-client";
import type { CollectionStatus, SourceStatus } from "../resource/source-status.ts";

/** Metrics of a source that is not on this machine, read when they are asked for. */
export function addSourceMetrics(registry: Registry, status: () => SourceStatus): void {
  const gauge = (name: string, help: string, value: (status: SourceStatus) => number) =>
    new Gauge({
      ...{ name: `wasmline_source_${name}`, help, registers: [registry] },
      collect() {
        this.set(value(status()));
      },
    });
  gauge("synced", "1 once all resources were read", ({ synced }) => Number(synced));
  gauge("watching", "1 while all resources are watched; else they may be out of date", ({ watching }) =>
    Number(watching),
  );
  gauge(
    "last_contact_timestamp_seconds",
    "When the API server last said anything",
    ({ lastContact }) => Date.parse(lastContact ?? "1970-01-01T00:00:00Z") / 1000,
  );
  addObjects(registry, status);
  const counters = [
    ["lists", "Lists that were read"],
    ["relists", "Lists that were read again because the API server had forgotten the version (410)"],
    ["watchRestarts", "Watches after the first"],
    ["stalls", "Watches whose connection was dead, or that did not end when they should have"],
    ["failures", "Requests that failed"],
  ] as const;
  for (const [field, help] of counters) addCounter(registry, status, field, help);
}

const labelNames = ["resource", "namespace"] as const;

function labelsOf({ resource, namespace = "" }: CollectionStatus) {
  return { resource, namespace };
}

function addObjects(registry: Registry, status: () => SourceStatus): void {
  new Gauge({
    name: "wasmline_source_objects",
    help: "Objects that are known of each resource",
    labelNames,
    registers: [registry],
    collect() {
      this.reset();
      for (const collection of status().collections) this.set(labelsOf(collection), collection.objects);
    },
  });
}

function addCounter(
  registry: Registry,
  status: () => SourceStatus,
  field: "lists" | "relists" | "watchRestarts" | "stalls" | "failures",
  help: string,
): void {
  const name = field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  new Counter({
    name: `wasmline_source_${name}_total`,
    help,
    labelNames,
    registers: [registry],
    collect() {
      this.reset();
      for (const collection of status().collections) this.inc(labelsOf(collection), collection[field]);
    },
  });
}
