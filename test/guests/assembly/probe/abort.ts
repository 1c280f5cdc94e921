import { proxy_log } from "./abi";

/** Says what broke in the probe itself, which no case wants. */
export function abortProbe(message: string | null, file: string | null, line: u32, column: u32): void {
  const what = `probe failed: ${message === null ? "abort" : message} ${file === null ? "" : file}:${line}:${column}`;
  const text = String.UTF8.encode(what);
  proxy_log(5, changetype<usize>(text) as u32, text.byteLength);
  unreachable();
}
