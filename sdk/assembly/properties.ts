import { proxy_get_property, proxy_set_property } from "./abi";
import { Status } from "./enums";
import { addressSlot, dropReceived, receivedAddress, receivedSize, sizeSlot, takeBytes } from "./memory";
import { bytesOf, takeText } from "./text";

/** Path of a property, encoded once: `new Property(["xds", "route_name"])`. */
export class Property {
  private path: ArrayBuffer;

  constructor(parts: string[]) {
    this.path = bytesOf(parts.join("\0"));
  }

  /** Asks the proxy; after Ok the value is waiting for `takeBytes` or `takeText`. */
  fetch(): Status {
    return proxy_get_property(changetype<usize>(this.path), this.path.byteLength, addressSlot(), sizeSlot());
  }

  /** Value as bytes; null when the stream has none. */
  bytes(): ArrayBuffer | null {
    return this.fetch() == Status.Ok ? takeBytes() : null;
  }

  /** Value as text; null when the stream has none. */
  text(): string | null {
    return this.fetch() == Status.Ok ? takeText() : null;
  }

  /** Value of a number, time or duration (64 bits, times in nanoseconds); `missing` when the stream has none. */
  integer(missing: i64 = 0): i64 {
    if (this.fetch() != Status.Ok) return missing;
    const value = receivedSize() == 8 ? load<i64>(receivedAddress()) : missing;
    dropReceived();
    return value;
  }

  /** Sets the property for this stream; later plugins of the chain can read it. */
  setText(value: string): bool {
    return this.setBytes(bytesOf(value));
  }

  /** Sets the property to bytes for this stream. */
  setBytes(bytes: ArrayBuffer): bool {
    const path = changetype<usize>(this.path);
    return (
      proxy_set_property(path, this.path.byteLength, changetype<usize>(bytes), bytes.byteLength) == Status.Ok
    );
  }
}
