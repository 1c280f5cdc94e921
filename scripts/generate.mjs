// Generates src/gen/ (TypeScript for the protobuf messages that wasmline speaks) from the protos
// that @grpc/grpc-js-xds ships and from our own in api/. Does nothing when src/gen is up to date.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const shipped = join(root, "node_modules/@grpc/grpc-js-xds/deps");
const staged = join(root, "build/proto");
const out = join(root, "src/gen");
const stamp = join(out, ".stamp");

/** The messages we use; what they import is generated with them. */
const roots = [
  "envoy/admin/v3/config_dump.proto",
  "envoy/config/bootstrap/v3/bootstrap.proto",
  "envoy/config/cluster/v3/cluster.proto",
  "envoy/config/endpoint/v3/endpoint.proto",
  "envoy/config/listener/v3/listener.proto",
  "envoy/config/route/v3/route.proto",
  "envoy/extensions/access_loggers/file/v3/file.proto",
  "envoy/extensions/access_loggers/stream/v3/stream.proto",
  "envoy/extensions/filters/http/composite/v3/composite.proto",
  "envoy/extensions/filters/http/cors/v3/cors.proto",
  "envoy/extensions/filters/http/fault/v3/fault.proto",
  "envoy/extensions/filters/http/filter_chain/v3/filter_chain.proto",
  "envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.proto",
  "envoy/extensions/filters/http/rbac/v3/rbac.proto",
  "envoy/extensions/filters/http/router/v3/router.proto",
  "envoy/extensions/filters/http/wasm/v3/wasm.proto",
  "envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.proto",
  "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto",
  "envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.proto",
  "envoy/extensions/transport_sockets/tls/v3/tls.proto",
  "envoy/extensions/upstreams/http/v3/http_protocol_options.proto",
  "envoy/service/discovery/v3/discovery.proto",
  "istio/extensions/v1alpha1/traffic_extension.proto",
  "istio/extensions/v1alpha1/wasm.proto",
  "istio/mcp/v1alpha1/resource.proto",
  "istio/networking/v1alpha3/gateway.proto",
  "istio/networking/v1alpha3/service_entry.proto",
  "istio/networking/v1alpha3/virtual_service.proto",
  "k8s/io/api/core/v1/secret.proto",
];

/** Annotations of the protos that nothing here reads; in the generated descriptors they would cost memory. */
const unused = ["validate", "udpa.annotations", "xds.annotations", "envoy.annotations"];

const fingerprint = createHash("sha256")
  .update(readFileSync(fileURLToPath(import.meta.url)))
  .update(readFileSync(join(root, "package-lock.json")));
for (const file of readdirSync(join(root, "api"), { recursive: true }).sort()) {
  if (file.endsWith(".proto")) fingerprint.update(file).update(readFileSync(join(root, "api", file)));
}
const digest = fingerprint.digest("hex");
if (existsSync(stamp) && readFileSync(stamp, "utf8") === digest) process.exit(0);

console.error("generating src/gen from the protos (about half a minute, only when they change)");
rmSync(staged, { recursive: true, force: true });
rmSync(out, { recursive: true, force: true });
mkdirSync(staged, { recursive: true });
for (const dir of ["envoy-api", "xds", "googleapis", "protoc-gen-validate"]) {
  for (const top of { "protoc-gen-validate": ["validate"] }[dir] ?? readdirSync(join(shipped, dir))) {
    cpSync(join(shipped, dir, top), join(staged, top), { recursive: true });
  }
}
cpSync(join(root, "api"), staged, { recursive: true, filter: (path) => !/\.(json|yaml)$/.test(path) });

// The validate.proto that ships is older than the protos that use it: it has no `ignore_empty`.
const validate = join(staged, "validate/validate.proto");
writeFileSync(
  validate,
  readFileSync(validate, "utf8").replace(
    /^message StringRules \{$/m,
    "$&\n  optional bool ignore_empty = 26;",
  ),
);
writeFileSync(join(staged, "buf.yaml"), "version: v2\n");
writeFileSync(
  join(staged, "buf.gen.yaml"),
  `version: v2\nplugins:\n  - local: ["node", ${JSON.stringify(join(root, "node_modules/@bufbuild/protoc-gen-es/bin/protoc-gen-es"))}]\n    out: ${JSON.stringify(out)}\n    opt: [target=ts, import_extension=ts]\n    include_imports: true\n    strategy: all\n`,
);
execFileSync(
  join(root, "node_modules/.bin/buf"),
  [
    "generate",
    ".",
    ...roots.flatMap((path) => ["--path", path]),
    ...unused.flatMap((type) => ["--exclude-type", type]),
  ],
  { cwd: staged, stdio: ["ignore", "inherit", "inherit"] },
);
writeFileSync(stamp, digest);
