import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";

/** A field's last value: a number, or the bytes of a string, of bytes or of a message. */
export type Fields = ReadonlyMap<number, number | Uint8Array>;

/** The fields of a small message that is given by name to a foreign function. Undefined if it is broken. */
export function readFields(bytes: Uint8Array): Fields | undefined {
  const fields = new Map<number, number | Uint8Array>();
  try {
    const reader = new BinaryReader(bytes);
    while (reader.pos < reader.len) {
      const [number, type] = reader.tag();
      if (type === WireType.Varint) fields.set(number, Number(reader.uint64()));
      else if (type === WireType.LengthDelimited) fields.set(number, reader.bytes());
      else reader.skip(type, number);
    }
    return fields;
  } catch {
    return undefined;
  }
}

/** A string field as Latin-1; "" if it is missing. */
export function textField(fields: Fields, number: number): string {
  const value = fields.get(number);
  return value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : "";
}
