import type { Outside } from "./outside.ts";

const never = () => {};

/** For a plugin that is only tried: it logs and sees the stores, but its calls are never answered and nothing ticks. */
export function createCanaryOutside(outside: Outside): Outside {
  return {
    stores: outside.stores,
    now: () => outside.now(),
    monotonicNow: () => outside.monotonicNow(),
    logLevel: () => outside.logLevel(),
    log: (record) => outside.log(record),
    setTimer: () => never,
    post: never,
    httpCall: () => never,
    grpcCall: () => never,
    grpcStream: () => ({ send: never, close: never, cancel: never }),
    redisInit: () => true,
    redisCall: () => never,
    resolveDns: () => never,
  };
}
