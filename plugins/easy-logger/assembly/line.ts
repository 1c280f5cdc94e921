import { quoteJson } from "../../../sdk/assembly";
import { Field } from "./fields";

/** One JSON object with the fields in the order of the configuration; null for what a request has not. */
export function writeLine(fields: Field[]): string {
  const members: string[] = [];
  for (let i = 0; i < fields.length; i++) {
    const value = fields[i].read();
    members.push(quoteJson(fields[i].name) + ":" + (value === null ? "null" : formatValue(fields[i], value)));
  }
  return "{" + members.join(",") + "}";
}

function formatValue(field: Field, value: string): string {
  return field.isNumber() ? value : quoteJson(value);
}
