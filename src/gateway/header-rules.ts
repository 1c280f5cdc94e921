import {
  HeaderValueOption_HeaderAppendAction as AppendAction,
  type HeaderValueOption,
} from "../gen/envoy/config/core/v3/base_pb.ts";
import type { HeaderMap } from "../proxy-wasm/header-map.ts";
import { type FormatValues, formatText, parseFormat } from "./format.ts";
import { refuse, within, withinEach } from "./refused-config.ts";
import { toHeader } from "./regex.ts";
import type { HeaderAddition, HeaderEdits, HeaderRules, SelectedRoute } from "./route-table.ts";

/** The part of a table, virtual host, route or weighted cluster that changes headers. */
interface WithHeaders {
  readonly requestHeadersToAdd: readonly HeaderValueOption[];
  readonly requestHeadersToRemove: readonly string[];
  readonly responseHeadersToAdd: readonly HeaderValueOption[];
  readonly responseHeadersToRemove: readonly string[];
}

export function compileHeaderRules(from: WithHeaders): HeaderRules {
  return {
    request: {
      add: withinEach("request_headers_to_add", from.requestHeadersToAdd, compileAddition),
      remove: withinEach("request_headers_to_remove", from.requestHeadersToRemove, modifiable),
    },
    response: {
      add: withinEach("response_headers_to_add", from.responseHeadersToAdd, compileAddition),
      remove: withinEach("response_headers_to_remove", from.responseHeadersToRemove, modifiable),
    },
  };
}

const actions: Readonly<Record<AppendAction, HeaderAddition["action"]>> = {
  [AppendAction.APPEND_IF_EXISTS_OR_ADD]: "append-or-add",
  [AppendAction.ADD_IF_ABSENT]: "add-if-absent",
  [AppendAction.OVERWRITE_IF_EXISTS_OR_ADD]: "overwrite-or-add",
  [AppendAction.OVERWRITE_IF_EXISTS]: "overwrite",
};

function compileAddition({
  header,
  append,
  appendAction,
  keepEmptyValue,
}: HeaderValueOption): HeaderAddition {
  if (!header) return refuse("header", "is required");
  if (append !== undefined && appendAction !== 0) refuse("append", "and append_action cannot both be set");
  const { rawValue } = header;
  const text = rawValue.length > 0 ? Buffer.from(rawValue).toString("latin1") : toHeader(header.value);
  return {
    name: within("header.key", () => modifiable(header.key)),
    value: within("header.value", () => parseFormat(text)),
    action: append === false ? "overwrite-or-add" : actions[appendAction],
    keepEmpty: keepEmptyValue,
  };
}

function modifiable(key: string): string {
  const name = key.toLowerCase();
  if (name === "") refuse("", "value length must be at least 1 characters");
  if (name.startsWith(":") || name === "host")
    refuse("", `:-prefixed or host headers may not be modified: ${key}`);
  if (!/^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name))
    refuse("", `not the name of a header: ${JSON.stringify(key)}`);
  return name;
}

/**
 * Changes headers: removes, overwrites, then adds. All values are made before anything of one rule is changed; an empty
 * one changes nothing.
 */
export function applyHeaderEdits(headers: HeaderMap, edits: HeaderEdits, values: FormatValues): void {
  for (const name of edits.remove) headers.remove(name);
  if (edits.add.length === 0) return;
  const changes = edits.add.flatMap((addition) => {
    const value = formatText(addition.value, values, "");
    return value !== "" || addition.keepEmpty ? [{ addition, value }] : [];
  });
  const due = changes.flatMap(({ addition: { name, action }, value }) => {
    const isThere = headers.get(name) !== undefined;
    if ((action === "add-if-absent" && isThere) || (action === "overwrite" && !isThere)) return [];
    return [{ name, value, overwrites: action.startsWith("overwrite") }];
  });
  for (const { name, value, overwrites } of due) if (overwrites) headers.replace(name, value);
  for (const { name, value, overwrites } of due) if (!overwrites) headers.add(name, value);
}

/**
 * The rules of a route in the order in which they are applied: from the most specific, unless the table says otherwise.
 * Those of a weighted cluster come first in any case.
 */
export function headerRules({ table, virtualHost, route, weighted }: SelectedRoute): readonly HeaderRules[] {
  const rules = [route?.headers, virtualHost.headers, table.headers];
  if (table.mostSpecificWins) rules.reverse();
  return [weighted?.headers, ...rules].filter((rule) => rule !== undefined);
}
