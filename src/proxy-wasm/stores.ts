import { getOrCreate } from "../get-or-create.ts";
import { MetricKind, Status } from "./abi.ts";

export interface SharedData {
  get(key: string): { value: Uint8Array; cas: number } | undefined;
  set(key: string, value: Uint8Array, cas: number): boolean;
}

export interface SharedQueues {
  register(vmId: string, name: string, owner: () => void): number;
  resolve(vmId: string, name: string): number | undefined;
  enqueue(id: number, bytes: Uint8Array): boolean;
  dequeue(id: number): Uint8Array | "empty" | undefined;
}

export interface MetricStore {
  define(kind: MetricKind, name: string): number;
  increment(id: number, delta: bigint): Status;
  record(id: number, value: bigint): Status;
  get(id: number): bigint | undefined | "unsupported";
}

export interface Stores {
  sharedData(vmId: string): SharedData;
  readonly queues: SharedQueues;
  readonly metrics: MetricStore;
}

export function createStores(): Stores {
  const data = new Map<string, SharedData>();
  return {
    sharedData: (vmId) => getOrCreate(data, vmId, createSharedData),
    queues: createQueues(),
    metrics: createMetrics(),
  };
}

function createSharedData(): SharedData {
  const values = new Map<string, { value: Uint8Array; cas: number }>();
  let last = 0;
  return {
    get: (key) => values.get(key),
    set(key, value, cas) {
      const known = values.get(key);
      if (known && cas !== 0 && known.cas !== cas) return false;
      values.set(key, { value, cas: ++last });
      return true;
    },
  };
}

function createQueues(): SharedQueues {
  const ids = new Map<string, number>();
  const queues: { owner: () => void; items: Uint8Array[] }[] = [];
  return {
    register(vmId, name, owner) {
      const id = getOrCreate(ids, `${vmId}\0${name}`, () => queues.push({ owner, items: [] }));
      queues[id - 1]!.owner = owner;
      return id;
    },
    resolve: (vmId, name) => ids.get(`${vmId}\0${name}`),
    enqueue(id, bytes) {
      const queue = queues[id - 1];
      if (!queue) return false;
      queue.items.push(bytes);
      queue.owner();
      return true;
    },
    dequeue(id) {
      const queue = queues[id - 1];
      return queue && (queue.items.shift() ?? "empty");
    },
  };
}

function createMetrics(): MetricStore {
  const metrics: { kind: MetricKind; value: bigint }[] = [];
  const ids = new Map<string, number>();
  return {
    define: (kind, name) => getOrCreate(ids, `${kind} ${name}`, () => metrics.push({ kind, value: 0n })),
    increment(id, delta) {
      const metric = metrics[id - 1];
      if (!metric) return Status.NotFound;
      if (metric.kind === MetricKind.Histogram) return Status.BadArgument;
      if (metric.kind === MetricKind.Counter && delta <= 0n) return Status.BadArgument;
      metric.value += delta;
      return Status.Ok;
    },
    record(id, value) {
      const metric = metrics[id - 1];
      if (!metric) return Status.NotFound;
      metric.value = metric.kind === MetricKind.Counter ? metric.value + value : value;
      return Status.Ok;
    },
    get(id) {
      const metric = metrics[id - 1];
      return metric?.kind === MetricKind.Histogram ? "unsupported" : metric?.value;
    },
  };
}
