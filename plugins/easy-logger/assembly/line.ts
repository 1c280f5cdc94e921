import { quoteJson } from "@wasmline/plugin-sdk/assembly";
import { ByteWriter } from "@wasmline/plugin-sdk/assembly/byte-writer";
import { Exchange } from "./exchange";
import { Field } from "./field";

const line = new ByteWriter(1024);
/** A longer line's room is given back. */
const KEPT: i32 = 65536;

/**
 * One JSON object with the fields in the order of the configuration; null for what a request has not. It is good until the
 * next one is written.
 */
export function writeLine(fields: Field[], exchange: Exchange, isSlow: bool): ByteWriter {
  line.clear(KEPT);
  for (let i = 0; i < fields.length; i++) {
    const field = fields[i];
    line.pushBytes(field.label);
    field.write(line, exchange);
    if (field.isCut(exchange)) line.pushText(`,${quoteJson(field.name + "_cut")}:true`);
  }
  if (isSlow) line.pushText(',"slow":true');
  // There is a comma before each field, the first one too.
  store<u8>(line.start, 0x7b);
  line.push(0x7d);
  return line;
}
