import { proxy_log } from "./abi";
import { LogLevel } from "./enums";
import { currentLogLevel } from "./log-level";
import { firstArgument } from "./text";

/**
 * Whether the proxy would write a line of this level. Ask before putting a message together, so that a line which
 * nobody reads costs neither memory nor time. A level that changes counts from the next stream on.
 */
export function isLogged(level: LogLevel): bool {
  return (level as u32) >= currentLogLevel();
}

/** Writes a line to the proxy's log if its level is on. */
export function log(level: LogLevel, message: string): void {
  if (!isLogged(level)) return;
  const text = firstArgument.put(message);
  proxy_log(level, text, firstArgument.size);
}

/** Writes a line that is there as UTF-8, whether its level is on or not. */
export function logBytes(level: LogLevel, start: usize, size: i32): void {
  proxy_log(level, start, size);
}

/** Writes the line that `describe` makes of a value; `describe` runs only if the level is on. */
export function logValue<T>(level: LogLevel, value: T, describe: (value: T) => string): void {
  if (isLogged(level)) log(level, describe(value));
}

/** Writes a line of level trace. */
export function logTrace(message: string): void {
  log(LogLevel.Trace, message);
}

/** Writes a line of level debug. */
export function logDebug(message: string): void {
  log(LogLevel.Debug, message);
}

/** Writes a line of level info. */
export function logInfo(message: string): void {
  log(LogLevel.Info, message);
}

/** Writes a line of level warn. */
export function logWarn(message: string): void {
  log(LogLevel.Warn, message);
}

/** Writes a line of level error. */
export function logError(message: string): void {
  log(LogLevel.Error, message);
}

/** Writes a line of level critical. */
export function logCritical(message: string): void {
  log(LogLevel.Critical, message);
}
