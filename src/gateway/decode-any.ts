import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import { errorText } from "../system-error.ts";
import { refuse } from "./refused-config.ts";

/** Decodes a message of a known type. */
export function decodeAny<D extends DescMessage>(schema: D, { value }: Any): MessageShape<D> {
  try {
    return fromBinary(schema, value);
  } catch (error) {
    return refuse("", `Unable to parse ${schema.typeName}: ${errorText(error)}`);
  }
}
