import assert from "node:assert/strict";
import { networkInterfaces } from "node:os";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { NodeSchema } from "../gen/envoy/config/core/v3/base_pb.ts";
import { StreamRefusal } from "../xds/stream-refusal.ts";
import { type AccessOptions, secretAccess } from "./gateway-access.ts";

const options: AccessOptions = {
  rootNamespace: "system",
  gatewayNamespaces: ["team-a"],
  requireAuthentication: false,
};
const elsewhere = "10.1.2.3:4567";
const nodeOf = (node: MessageInitShape<typeof NodeSchema>) => create(NodeSchema, node);
const inNamespace = (namespace: string) => nodeOf({ id: `router~1.1.1.1~g.${namespace}~${namespace}.svc` });
const accessOf = (peer: string, more: Partial<AccessOptions> = {}) =>
  secretAccess(inNamespace("system"), peer, undefined, { ...options, ...more });
const provenAs = (namespace: string, node = inNamespace(namespace), more: Partial<AccessOptions> = {}) =>
  secretAccess(node, elsewhere, { namespace, serviceAccount: "gateway" }, { ...options, ...more });

const refused = (code: status, text: RegExp) => (error: unknown) =>
  error instanceof StreamRefusal && error.code === code && text.test(error.message);

test("who is on this machine may have all Secrets, who is not may have none without proof", () => {
  const own = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
  const local = ["unix:/a", "127.0.0.1:80", "127.8.8.8:80", "::ffff:127.0.0.1:80"];
  for (const peer of [...local, ...own.map(({ address }) => `${address}:1`)])
    assert.equal(accessOf(peer), "all", peer);
  for (const peer of [elsewhere, "[2001:db8::1]:80", "::ffff:10.1.2.3:80", ""])
    assert.equal(accessOf(peer), "none", peer);
});

test("where proof is required, who has none gets nothing from elsewhere", () => {
  assert.throws(
    () => accessOf(elsewhere, { requireAuthentication: true }),
    refused(status.UNAUTHENTICATED, /^a gateway on another machine must prove itself/),
  );
  assert.equal(accessOf("127.0.0.1:80", { requireAuthentication: true }), "all");
});

test("a proven gateway of the root namespace may have all Secrets, one of a served namespace its own", () => {
  assert.equal(provenAs("system"), "all");
  assert.equal(provenAs("team-a"), "own-namespace");
  assert.equal(provenAs("team-c", undefined, { gatewayNamespaces: ["*"] }), "own-namespace");
  assert.throws(() => provenAs("team-b"), refused(status.PERMISSION_DENIED, /team-b are not served here/));
});

test("node and proof must agree, in metadata and in the id", () => {
  const metadata = { NAMESPACE: "team-a" };
  const id = "router~1.1.1.1~g.system~system.svc.cluster.local";
  const cases: readonly [MessageInitShape<typeof NodeSchema>, RegExp][] = [
    [{ id }, /namespace "system", its token is of team-a\/gateway/],
    [{ id, metadata }, /namespace "system"/],
    [{ id: "anything", metadata: { NAMESPACE: "system" } }, /namespace "system"/],
    [{ id: "anything" }, /namespace ""/],
    [{ id: "anything", metadata: { ...metadata, SERVICE_ACCOUNT: "other" } }, /ServiceAccount is "other"/],
  ];
  for (const [node, text] of cases)
    assert.throws(() => provenAs("team-a", nodeOf(node)), refused(status.PERMISSION_DENIED, text));
  const fitting = { id: "anything", metadata: { ...metadata, SERVICE_ACCOUNT: "gateway" } };
  assert.equal(provenAs("team-a", nodeOf(fitting)), "own-namespace");
});
