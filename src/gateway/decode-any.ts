import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import type { Any } from "@bufbuild/protobuf/wkt";
import { errorText } from "../system-error.ts";
import { refuse } from "./refused-config.ts";

/** Decodes a message of a known type. */
export function decodeAny<D extends DescMessage>(schema: D, { value }: Any): MessageShape<D> {
  return decodeMessage(schema, value);
}

/** Decodes a message. What cannot be read is refused. */
export function decodeMessage<D extends DescMessage>(schema: D, bytes: Uint8Array): MessageShape<D> {
  return orRefuse(schema, () => fromBinary(schema, bytes));
}

/** A message without one of its repeated fields of messages, and the values of that, encoded still. */
export interface SplitMessage<D extends DescMessage> {
  readonly message: MessageShape<D>;
  readonly values: readonly Uint8Array[];
}

/** Decodes a message but for the field of that number. What cannot be read is refused. */
export function decodeWithout<D extends DescMessage>(
  schema: D,
  field: number,
  bytes: Uint8Array,
): SplitMessage<D> {
  return orRefuse(schema, () => {
    const { values, others } = splitField(bytes, field);
    return { message: fromBinary(schema, Buffer.concat(others)), values };
  });
}

function splitField(bytes: Uint8Array, wanted: number) {
  const reader = new BinaryReader(bytes);
  const values: Uint8Array[] = [];
  const others: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const start = reader.pos;
    const [field, wireType] = reader.tag();
    if (field === wanted && wireType === WireType.LengthDelimited) values.push(reader.bytes());
    else {
      reader.skip(wireType, field);
      others.push(bytes.subarray(start, reader.pos));
    }
  }
  return { values, others };
}

function orRefuse<T>({ typeName }: DescMessage, decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    return refuse("", `Unable to parse ${typeName}: ${errorText(error)}`);
  }
}
