// Runs the gateway's tests on another Node, where its threads share ports: with two of them.
//   node --import tsx test/run-on-second-node.ts [FILE…]
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { createLog } from "../src/log.ts";
import { requireSecondNode } from "./peers/second-node.ts";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const threads = "2";
const named = process.argv.slice(2);
const systems = ["test/e2e/gateway-role.test.ts", "test/e2e/edits-under-load.test.ts"];
const all = named.length > 0 ? named : [...testsBelow("src/gateway"), ...testsBelow("test/gateway")];

const node = await requireSecondNode(createLog());
run(all, 2);
if (named.length === 0) run(systems, 1);

function run(files: readonly string[], atOnce: number): void {
  const { status } = spawnSync(
    node,
    ["--import", "tsx", "--test", `--test-concurrency=${atOnce}`, "--test-timeout=600000", ...files],
    { cwd: root, stdio: "inherit", env: { ...process.env, WASMLINE_CONCURRENCY: threads } },
  );
  if (status !== 0) process.exit(status ?? 1);
}

function testsBelow(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".test.ts"))
    .map((file) => join(folder, file))
    .sort();
}
