import { proxy_log } from "./abi";
import { LogLevel } from "./enums";
import { encodeText } from "./text";

// Neither the library's other globals nor memory can be counted on: what failed may be what sets them up, or an allocation.
let failed: bool = false;

/** Takes the place of AssemblyScript's abort: one critical line says what failed and where, then the VM traps. */
export function abortPlugin(message: string | null, file: string | null, line: u32, column: u32): void {
  if (failed) unreachable();
  failed = true;
  const what = message === null ? "abort" : message;
  const where = file === null ? "" : ` (${file}:${line}:${column})`;
  const text = "plugin failed: " + what + where;
  const bytes = __new(text.length * 3, idof<ArrayBuffer>());
  proxy_log(LogLevel.Critical, bytes, encodeText(text, bytes));
  unreachable();
}
