import { proxy_call_foreign_function } from "./abi";
import { readBuffer } from "./body";
import { BufferType, Status } from "./enums";
import { addressSlot, sizeSlot, takeBytes } from "./memory";
import { firstArgument } from "./text";

const noBytes = new ArrayBuffer(0);

/** Calls a function that this proxy has beyond the ABI, such as Envoy's `compress`; null when it has none of that name, or that fails. */
export function callForeignFunction(name: string, argument: ArrayBuffer): ArrayBuffer | null {
  const text = firstArgument.put(name);
  const bytes = changetype<usize>(argument);
  store<usize>(addressSlot(), 0);
  const status = proxy_call_foreign_function(
    text,
    firstArgument.size,
    bytes,
    argument.byteLength,
    addressSlot(),
    sizeSlot(),
  );
  return status == Status.Ok ? takeBytes() : null;
}

/** What the proxy hands to `onForeignFunction`. */
export function foreignArguments(): ArrayBuffer {
  const bytes = readBuffer(BufferType.ForeignArguments);
  return bytes === null ? noBytes : bytes;
}
