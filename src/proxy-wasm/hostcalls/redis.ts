import { Status } from "../abi.ts";
import { serializeMap } from "../header-map-codec.ts";
import type { Vm } from "../vm.ts";
import { giveToken } from "./calls.ts";

/** What only Higress' Envoy has, besides `proxy_inject_encoded_data_to_filter_chain`: Redis and the choice of upstream hosts. */
export function redisFunctions(vm: Vm) {
  return {
    proxy_redis_init: (...parameters: RedisInitParameters) => redisInit(vm, parameters),
    proxy_redis_call(
      upstreamAt: number,
      upstreamSize: number,
      queryAt: number,
      querySize: number,
      tokenAt: number,
    ): Status {
      const { memory } = vm;
      if (!memory.has(upstreamAt, upstreamSize) || !memory.has(queryAt, querySize))
        return Status.InvalidMemoryAccess;
      const upstream = memory.text(upstreamAt, upstreamSize);
      const query = memory.copy(queryAt, querySize);
      return giveToken(vm, tokenAt, () => vm.context.root.calls.redis(upstream, query));
    },
    proxy_get_upstream_hosts(mapAt: number, sizeAt: number): Status {
      const hosts = vm.context.upstreamHosts();
      return hosts ? vm.memory.giveBytes(serializeMap(hosts), mapAt, sizeAt) : Status.NotFound;
    },
    proxy_set_upstream_override_host(at: number, size: number): Status {
      if (!vm.memory.has(at, size)) return Status.InvalidMemoryAccess;
      return vm.context.overrideUpstreamHost(vm.memory.text(at, size)) ? Status.Ok : Status.BadArgument;
    },
  };
}

type RedisInitParameters = [
  upstreamAt: number,
  upstreamSize: number,
  usernameAt: number,
  usernameSize: number,
  passwordAt: number,
  passwordSize: number,
  timeoutMs: number,
];

function redisInit({ memory, outside }: Vm, parameters: RedisInitParameters): Status {
  const [upstreamAt, upstreamSize, usernameAt, usernameSize, passwordAt, passwordSize, timeoutMs] =
    parameters;
  for (let i = 0; i < 6; i += 2)
    if (!memory.has(parameters[i]!, parameters[i + 1]!)) return Status.InvalidMemoryAccess;
  const known = outside.redisInit({
    upstream: memory.text(upstreamAt, upstreamSize),
    username: memory.text(usernameAt, usernameSize),
    password: memory.text(passwordAt, passwordSize),
    timeoutMs: timeoutMs >>> 0,
  });
  return known ? Status.Ok : Status.BadArgument;
}
