import { proxy_get_log_level, proxy_log } from "./abi";
import { LogLevel, Status } from "./enums";
import { sizeSlot } from "./memory";
import { firstArgument } from "./text";

/**
 * Whether the proxy would write a line of this level. Ask before putting a message together, so that a line which
 * nobody reads costs one hostcall and no memory.
 */
export function isLogged(level: LogLevel): bool {
  if (proxy_get_log_level(sizeSlot()) != Status.Ok) return level >= LogLevel.Info;
  return (level as u32) >= load<u32>(sizeSlot());
}

/** Writes a line to the proxy's log if its level is on. */
export function log(level: LogLevel, message: string): void {
  if (!isLogged(level)) return;
  const text = firstArgument.put(message);
  proxy_log(level, text, firstArgument.size);
}

export function logDebug(message: string): void {
  log(LogLevel.Debug, message);
}

export function logInfo(message: string): void {
  log(LogLevel.Info, message);
}

export function logWarn(message: string): void {
  log(LogLevel.Warn, message);
}

export function logError(message: string): void {
  log(LogLevel.Error, message);
}
