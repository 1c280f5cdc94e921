import { proxy_get_current_time_nanoseconds } from "./abi";
import { numberSlot } from "./memory";

/** Time of the proxy's clock, in nanoseconds since 1970. */
export function currentTimeNanoseconds(): u64 {
  proxy_get_current_time_nanoseconds(numberSlot());
  return load<u64>(numberSlot());
}
