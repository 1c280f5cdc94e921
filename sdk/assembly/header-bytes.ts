import { proxy_get_header_map_pairs, proxy_get_header_map_value, proxy_set_header_map_pairs } from "./abi";
import { MapType, Status } from "./enums";
import { addressSlot, sizeSlot, takeBytes } from "./memory";
import { firstArgument } from "./text";

// Headers as the proxy hands them over, for plugins that look at every request and make no texts of what they pass on.

const noLines = new ArrayBuffer(0);

/** Asks for the first value of a header; after true it is at `receivedAddress`, until `dropReceived`. */
export function fetchHeader(type: MapType, name: string): bool {
  const key = firstArgument.put(name);
  const status = proxy_get_header_map_value(type, key, firstArgument.size, addressSlot(), sizeSlot());
  return status == Status.Ok;
}

/** All header lines as the ABI has them; no bytes when the map does not exist in this phase. */
export function readLines(type: MapType): ArrayBuffer {
  const status = proxy_get_header_map_pairs(type, addressSlot(), sizeSlot());
  return status == Status.Ok ? takeBytes() : noLines;
}

/** Puts lines as the ABI has them in the place of all that are there. */
export function replaceLines(type: MapType, start: usize, size: usize): bool {
  return proxy_set_header_map_pairs(type, start, size) == Status.Ok;
}
