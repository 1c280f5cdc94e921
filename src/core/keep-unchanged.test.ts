import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { GatewaySchema } from "../gen/istio/networking/v1alpha3/gateway_pb.ts";
import { sameItems } from "../incremental.ts";
import type { IstioConfig } from "../istio/config.ts";
import { keepUnchanged } from "./keep-unchanged.ts";

function makeGateway(name: string, selected: string, host = name): IstioConfig<"Gateway"> {
  const spec = create(GatewaySchema, { selector: { app: selected } });
  return { kind: "Gateway", namespace: "ns", name, annotations: { host }, spec };
}

test("keepUnchanged keeps objects that say the same, wherever they stand", () => {
  const previous = [makeGateway("a", "x"), makeGateway("b", "x")];
  const next = [makeGateway("b", "x"), makeGateway("a", "y"), makeGateway("c", "x")];
  const kept = keepUnchanged(GatewaySchema, previous, next);
  assert.ok(sameItems(kept, [previous[1], next[1], next[2]]));
});

test("keepUnchanged sees a change of annotations", () => {
  const next = [makeGateway("a", "x", "other")];
  assert.equal(keepUnchanged(GatewaySchema, [makeGateway("a", "x")], next)[0], next[0]);
});

test("keepUnchanged keeps the list if all is as before, and not if something went", () => {
  const previous = [makeGateway("a", "x"), makeGateway("b", "x")];
  assert.equal(
    keepUnchanged(GatewaySchema, previous, [makeGateway("a", "x"), makeGateway("b", "x")]),
    previous,
  );
  assert.notEqual(keepUnchanged(GatewaySchema, previous, [makeGateway("a", "x")]), previous);
});
