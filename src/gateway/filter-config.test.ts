import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { decodeFilter } from "./filter-config.ts";

const decode = (name: string, type: string) =>
  decodeFilter(name, create(AnySchema, { typeUrl: `type.googleapis.com/${type}` }));

test("a filter that only counts is taken and does nothing; one that is not known is refused", () => {
  const name = "envoy.filters.http.grpc_stats";
  const type = "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig";
  assert.deepEqual(decode(name, type), { kind: "chain", name, filters: [] });
  assert.throws(() => decode("lua", "envoy.extensions.filters.http.lua.v3.Lua"), /registered implementation/);
});
