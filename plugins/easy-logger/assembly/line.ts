import { quoteJson } from "@wasmline/plugin-sdk/assembly";
import { Exchange } from "./exchange";
import { Field } from "./field";

/** One JSON object with the fields in the order of the configuration; null for what a request has not. */
export function writeLine(fields: Field[], exchange: Exchange, isSlow: bool): string {
  const members: string[] = [];
  for (let i = 0; i < fields.length; i++) {
    const field = fields[i];
    members.push(field.label + field.json(exchange));
    if (field.isCut(exchange)) members.push(quoteJson(field.name + "_cut") + ":true");
  }
  if (isSlow) members.push('"slow":true');
  return "{" + members.join(",") + "}";
}
