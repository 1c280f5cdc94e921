import { proxy_get_log_level } from "./abi";
import { LogLevel, Status } from "./enums";
import { sizeSlot } from "./memory";

const UNKNOWN: u32 = 0xffffffff;
/** Asked once for each stream, so that a line which nobody reads costs a comparison. */
let level: u32 = UNKNOWN;

/** The level may have changed: it is asked again when somebody wants to know. */
export function forgetLogLevel(): void {
  level = UNKNOWN;
}

/** The least level that the proxy writes. A proxy that does not say it counts as one that writes from Info on. */
export function currentLogLevel(): u32 {
  if (level == UNKNOWN) {
    level = proxy_get_log_level(sizeSlot()) == Status.Ok ? load<u32>(sizeSlot()) : (LogLevel.Info as u32);
  }
  return level;
}
