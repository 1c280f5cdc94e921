import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

// Roles meet over xDS, also inside one process: none of them imports another. What they share knows none of them.

/** What each folder of src may import besides itself, `root` (the files beside this one) and `gen`. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  root: [],
  gen: [],
  resource: ["kubernetes"],
  xds: [],
  oci: [],
  wasm: [],
  "proxy-wasm": ["wasm"],
  redis: [],
  kubernetes: [],
  istio: ["xds"],
  core: ["resource", "kubernetes", "istio", "xds"],
  discovery: ["istio", "xds"],
  agent: ["oci", "wasm", "xds"],
  plugin: ["oci", "proxy-wasm", "resource", "wasm"],
  gateway: ["proxy-wasm", "redis", "xds"],
  cli: [
    "resource",
    "istio",
    "xds",
    "oci",
    "wasm",
    "proxy-wasm",
    "redis",
    "kubernetes",
    "core",
    "discovery",
    "agent",
    "gateway",
    "plugin",
  ],
};

/** What a folder may import types of, and nothing that runs. */
const allowedTypes: Readonly<Record<string, readonly string[]>> = {
  agent: ["resource"],
  gateway: ["resource"],
};

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
}

/** Says what is wrong with an import between two files, given by their paths below src; undefined if nothing is. */
function findFault({ from, to, typeOnly }: Import): string | undefined {
  const [folder, target] = [folderOf(from), folderOf(to)];
  const isTest = from.endsWith(".test.ts");
  if (target === "outside") return isTest ? undefined : `${from} imports ${to}, which is no source`;
  if (to.endsWith(".test.ts")) return `${from} imports the test ${to}`;
  const known = allowed[folder];
  if (!known) return `${from} is in a folder that this test has no rule for`;
  const shared = target === folder || target === "root" || target === "gen";
  const fine = folder === "gen" ? target === "gen" : shared || known.includes(target);
  if (fine || (typeOnly && allowedTypes[folder]?.includes(target))) return undefined;
  return `${from} imports ${to}; ${folder} may import ${[...known, "gen", "files of src itself"].join(", ")}`;
}

function folderOf(path: string): string {
  if (path.startsWith("..")) return "outside";
  return path.includes("/") ? path.slice(0, path.indexOf("/")) : "root";
}

const statement = /(?:^(?:import|export)\s+(type\s)?[^;]*?\sfrom\s+|^import\s+|\bimport\()"(\.[^"]+)"/gm;

function readImports(src: string, from: string): Import[] {
  const text = readFileSync(join(src, from), "utf8");
  return [...text.matchAll(statement)].map(([, type, path]) => ({
    from,
    to: normalize(join(dirname(from), path!)),
    typeOnly: type !== undefined,
  }));
}

test("imports go in one direction", () => {
  const src = fileURLToPath(new URL(".", import.meta.url));
  const files = readdirSync(src, { recursive: true, encoding: "utf8" }).filter((path) =>
    path.endsWith(".ts"),
  );
  const imports = files.flatMap((file) => readImports(src, file));
  assert.ok(imports.some(({ from, to }) => from === "istio/mcp.ts" && to === "xds/snapshot.ts"));
  assert.deepEqual(
    imports.flatMap((found) => findFault(found) ?? []),
    [],
  );
});

test("the rule knows what it forbids", () => {
  const fault = (from: string, to: string, typeOnly = false) =>
    findFault({ from, to, typeOnly }) !== undefined;
  const forbidden: readonly (readonly [string, string])[] = [
    ["core/core.ts", "agent/agent.ts"],
    ["discovery/discovery.ts", "core/core.ts"],
    ["agent/agent.ts", "resource/parse.ts"],
    ["xds/server.ts", "istio/config.ts"],
    ["resource/parse.ts", "core/core.ts"],
    ["log.ts", "xds/server.ts"],
    ["core/core.ts", "cli/main.ts"],
    ["core/core.ts", "core/core.test.ts"],
    ["core/core.ts", "../test/peers/until.ts"],
    ["gen/a_pb.ts", "log.ts"],
    ["elsewhere/a.ts", "log.ts"],
  ];
  for (const [from, to] of forbidden) assert.ok(fault(from, to), `${from} may import ${to}`);
  assert.ok(fault("core/core.ts", "agent/node.ts", true));
  assert.ok(!fault("agent/node.ts", "resource/types.ts", true));
  assert.ok(!fault("cli/up.ts", "agent/agent.ts"));
  assert.ok(!fault("oci/http.test.ts", "../test/peers/until.ts"));
});
