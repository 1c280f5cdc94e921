import { ConfigErrors, describeValue, JsonValue, LocalResponse, parseInteger } from "@wasmline/plugin-sdk/assembly";
import { lowerCase } from "@wasmline/plugin-sdk/assembly/ascii";
import { StatusTable } from "./response-config";

/** Makes a response the one for a code, or for a pattern such as "40x". */
export function addCode(
  value: JsonValue,
  path: string,
  response: LocalResponse,
  table: StatusTable,
  errors: ConfigErrors,
): void {
  const text = value.text();
  const code = parseInteger(text);
  const key = code === null ? lowerCase(text) : text;
  if (code === null && !isPattern(key)) {
    errors.add(
      `invalid enable_on_status value: ${path} is ${describeValue(value)}: ` +
        "expected a status, or three characters of which some are digits and some are x",
    );
    return;
  }
  if (table.has(key)) {
    errors.add(`enableOnStatus can only use once: ${path} is ${describeValue(value)}, which is there before`);
    return;
  }
  if (code === null) table.addPattern(key, response);
  else table.addExact(key, response);
  if (code !== null && (key.length != 3 || code.value < 100))
    errors.warn(`${path} is ${describeValue(value)}: no response has this status`);
}

/** Three characters, digits and x, some of each. */
function isPattern(code: string): bool {
  if (code.length != 3) return false;
  let digits = 0;
  for (let i = 0; i < 3; i++) {
    const unit = code.charCodeAt(i);
    const isDigit = unit >= 0x30 && unit <= 0x39;
    if (!isDigit && unit != 0x78) return false;
    if (isDigit) digits++;
  }
  return digits > 0;
}
