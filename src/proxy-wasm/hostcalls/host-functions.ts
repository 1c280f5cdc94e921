import { hostFunctions } from "../abi.ts";
import type { Vm } from "../vm.ts";
import { bufferFunctions } from "./buffers.ts";
import { callFunctions } from "./calls.ts";
import { foreignFunctions } from "./foreign.ts";
import { grpcFunctions } from "./grpc.ts";
import { headerFunctions } from "./headers.ts";
import { logAndTimeFunctions } from "./log-and-time.ts";
import { metricFunctions } from "./metrics.ts";
import { propertyFunctions } from "./properties.ts";
import { redisFunctions } from "./redis.ts";
import { sharedFunctions } from "./shared.ts";
import { streamFunctions } from "./streams.ts";

/** A function of module `env`. Its numbers are signed as they come; what it gives is a status. */
export type HostFunction = (...parameters: never[]) => number;
export type HostFunctions = Readonly<Record<string, HostFunction>>;

/** All functions of module `env` that the guest's ABI has. */
export function createHostFunctions(vm: Vm): HostFunctions {
  const all: HostFunctions = {
    ...logAndTimeFunctions(vm),
    ...headerFunctions(vm),
    ...bufferFunctions(vm),
    ...propertyFunctions(vm),
    ...streamFunctions(vm),
    ...callFunctions(vm),
    ...grpcFunctions(vm),
    ...sharedFunctions(vm),
    ...metricFunctions(vm),
    ...foreignFunctions(vm),
    ...redisFunctions(vm),
  };
  return Object.fromEntries([...hostFunctions(vm.module.abi)].map((name) => [name, all[name]!]));
}
