import type { Outside } from "./outside.ts";

const never = () => {};

/** For a plugin that is only tried: it logs and sees the stores, but its calls are never answered and nothing ticks. */
export function createCanaryOutside(outside: Outside): Outside {
  const { stores } = outside;
  const { queues } = stores;
  return {
    stores: {
      ...stores,
      queues: { ...queues, register: (vmId, name) => queues.resolve(vmId, name) ?? "full" },
    },
    property: (path) => outside.property?.(path),
    now: () => outside.now(),
    monotonicNow: () => outside.monotonicNow(),
    logLevel: () => outside.logLevel(),
    log: (record) => outside.log({ ...record, ofCanary: true }),
    setTimer: () => never,
    httpCall: () => never,
    grpcCall: () => never,
    grpcStream: () => ({ send: never, close: never, cancel: never }),
    redisInit: () => true,
    redisCall: () => never,
    resolveDns: () => never,
  };
}
