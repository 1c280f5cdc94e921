import { readBuffer } from "./body";
import { BufferType } from "./enums";

/** The VM's configuration, which all plugins in it share; null when there is none. */
export function vmConfiguration(): ArrayBuffer | null {
  const bytes = readBuffer(BufferType.VmConfiguration);
  return bytes === null || bytes.byteLength == 0 ? null : bytes;
}
