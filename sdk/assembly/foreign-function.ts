import { proxy_call_foreign_function } from "./abi";
import { readBuffer } from "./body";
import { BufferType, Status } from "./enums";
import { addressSlot, sizeSlot, takeBytes } from "./memory";
import { firstArgument } from "./text";

const noBytes = new ArrayBuffer(0);

/**
 * Calls a function that this proxy has beyond the ABI, such as Envoy's `compress`; null when it has none of that name, or that fails.
 * Envoy and the embedded gateway both have `compress`, `uncompress`, `declare_property`, `set_envoy_filter_state` and
 * `clear_route_cache`; `expr_create` and its like, `sign` and `verify_signature` are Envoy's alone.
 */
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
