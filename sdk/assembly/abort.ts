import { proxy_log } from "./abi";
import { LogLevel } from "./enums";
import { firstArgument } from "./text";

/** Takes the place of AssemblyScript's abort: one critical line says what failed and where, then the VM traps. */
export function abortPlugin(message: string | null, file: string | null, line: u32, column: u32): void {
  const what = message === null ? "abort" : message;
  const where = file === null ? "" : ` (${file}:${line}:${column})`;
  const text = firstArgument.put("plugin failed: " + what + where);
  proxy_log(LogLevel.Critical, text, firstArgument.size);
  unreachable();
}
