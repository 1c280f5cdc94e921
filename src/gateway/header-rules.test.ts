import assert from "node:assert/strict";
import { test } from "node:test";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { RouteConfigurationSchema } from "../gen/envoy/config/route/v3/route_pb.ts";
import { type HeaderLine, HeaderMap } from "../proxy-wasm/header-map.ts";
import { compileRoutes } from "./compile-routes.ts";
import { type FormatOperator, formatText, headerNames, parseFormat } from "./format.ts";
import { applyHeaderEdits, headerRules } from "./header-rules.ts";
import { RefusedConfig } from "./refused-config.ts";
import { selectRoute } from "./select-route.ts";

const values = (operator: FormatOperator) => {
  if (operator.name === "REQ") return headerNames(operator).includes("x-a") ? "abc" : undefined;
  return operator.name === "RESPONSE_CODE" ? 200 : undefined;
};

const formats: readonly (readonly [string, string])[] = [
  ["plain", "plain"],
  ["%RESPONSE_CODE%", "200"],
  ["<%REQ(X-A)%>", "<abc>"],
  ["%REQ(X-A):2%", "ab"],
  ["%REQ(X-NONE?X-A)%", "abc"],
  ["%REQ(X-NONE)%", "-"],
  ["100%%", "100%"],
  ["%%REQ(X-A)%%", "%REQ(X-A)%"],
  ["%START_TIME(%Y/%m/%d)%,%RESPONSE_CODE%", "-,200"],
];

for (const [format, text] of formats) {
  test(`format ${format}`, () => assert.equal(formatText(parseFormat(format), values, "-"), text));
}

for (const format of ["%", "%NOPE%", "%REQ%", "%REQ(a", "a%b", "%req(a)%", "%REQ(a):x%"]) {
  test(`format ${format} is refused`, () => assert.throws(() => parseFormat(format), RefusedConfig));
}

function edited(edits: JsonObject, lines: readonly HeaderLine[]): HeaderLine[] {
  const table = fromJson(RouteConfigurationSchema, { name: "t", ...edits });
  const headers = HeaderMap.from(lines);
  applyHeaderEdits(headers, compileRoutes(table).headers.request, values);
  return [...headers.lines];
}

const additions: readonly (readonly [string, string, readonly HeaderLine[], readonly HeaderLine[]])[] = [
  [
    "APPEND_IF_EXISTS_OR_ADD",
    "n",
    [["x", "o"]],
    [
      ["x", "o"],
      ["x", "n"],
    ],
  ],
  ["APPEND_IF_EXISTS_OR_ADD", "n", [], [["x", "n"]]],
  ["ADD_IF_ABSENT", "n", [["x", "o"]], [["x", "o"]]],
  ["ADD_IF_ABSENT", "n", [], [["x", "n"]]],
  [
    "OVERWRITE_IF_EXISTS_OR_ADD",
    "n",
    [
      ["x", "o"],
      ["x", "p"],
    ],
    [["x", "n"]],
  ],
  ["OVERWRITE_IF_EXISTS_OR_ADD", "n", [], [["x", "n"]]],
  ["OVERWRITE_IF_EXISTS", "n", [["x", "o"]], [["x", "n"]]],
  ["OVERWRITE_IF_EXISTS", "n", [], []],
  ["OVERWRITE_IF_EXISTS_OR_ADD", "%REQ(x-none)%", [["x", "o"]], [["x", "o"]]],
];

for (const [action, value, before, after] of additions) {
  test(`${action} ${value} to ${before.length} lines`, () => {
    const add = [{ header: { key: "X", value }, append_action: action }];
    assert.deepEqual(edited({ request_headers_to_add: add }, before), after);
  });
}

test("an empty value is kept where that is asked for; `append: false` overwrites", () => {
  const add = { header: { key: "x", value: "%REQ(x-none)%" }, append: false, keep_empty_value: true };
  assert.deepEqual(edited({ request_headers_to_add: [add] }, [["x", "o"]]), [["x", ""]]);
});

test("headers are removed before others are added", () => {
  const edits = {
    request_headers_to_remove: ["X"],
    request_headers_to_add: [{ header: { key: "x", value: "n" } }],
  };
  assert.deepEqual(edited(edits, [["x", "o"]]), [["x", "n"]]);
});

test("rules come from the weighted cluster outwards, or from it and then inwards", () => {
  const order = (most_specific_header_mutations_wins: boolean) => {
    const add = (value: string) => ({ request_headers_to_add: [{ header: { key: "x", value } }] });
    const clusters = [{ name: "c", weight: 1, ...add("cluster") }];
    const routes = [{ match: { prefix: "/" }, route: { weighted_clusters: { clusters } }, ...add("route") }];
    const virtual_hosts = [{ name: "all", domains: ["*"], routes, ...add("host") }];
    const message = { name: "t", virtual_hosts, most_specific_header_mutations_wins, ...add("table") };
    const table = compileRoutes(fromJson(RouteConfigurationSchema, message));
    const headers = HeaderMap.from([
      [":authority", "a"],
      [":path", "/"],
      ["x-forwarded-proto", "http"],
    ]);
    const selected = selectRoute(table, { headers, random: 0 })!;
    return headerRules(selected).map(({ request }) => request.add[0]?.value.source);
  };
  assert.deepEqual(order(false), ["cluster", "route", "host", "table"]);
  assert.deepEqual(order(true), ["cluster", "table", "host", "route"]);
});
