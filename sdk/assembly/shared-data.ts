import { proxy_get_shared_data, proxy_set_shared_data } from "./abi";
import { Status } from "./enums";
import { addressSlot, numberSlot, sizeSlot, takeBytes } from "./memory";
import { bytesOf, firstArgument, textOf } from "./text";

/** A shared value, and the number of its version. */
export class SharedValue {
  constructor(
    readonly bytes: ArrayBuffer,
    readonly cas: u32,
  ) {}

  text(): string {
    return textOf(this.bytes);
  }
}

/** What all VMs with the same VM id share, in all threads of the proxy; other plugins may be among them. Null: nobody has set it. */
export function getSharedData(key: string): SharedValue | null {
  const name = firstArgument.put(key);
  const status = proxy_get_shared_data(name, firstArgument.size, addressSlot(), sizeSlot(), numberSlot());
  return status == Status.Ok ? new SharedValue(takeBytes(), load<u32>(numberSlot())) : null;
}

/** Sets a shared value. With a `cas` other than 0 only if that is still its version: CasMismatch says that it is not. */
export function setSharedData(key: string, value: ArrayBuffer, cas: u32 = 0): Status {
  const name = firstArgument.put(key);
  const bytes = changetype<usize>(value);
  return proxy_set_shared_data(name, firstArgument.size, bytes, value.byteLength, cas);
}

/** `setSharedData` with a text. */
export function setSharedText(key: string, value: string, cas: u32 = 0): Status {
  return setSharedData(key, bytesOf(value), cas);
}
