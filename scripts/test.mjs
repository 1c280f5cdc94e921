// The test command: builds, makes sure that the real peers are there, and runs every test once.
//   npm test [-- FILE…]
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const named = process.argv.slice(2);
const node = (...args) => {
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
};

node("scripts/build.mjs");
node("--import", "tsx", "test/guests/build-guests.ts");
node("--import", "tsx", "test/peers/install-peers.ts");

const folders = ["src", "sdk/test", "plugins", "bench", "test", "examples"];
const all = named.length > 0 ? named : folders.flatMap((folder) => testsBelow(join(root, folder)));
// What runs whole systems and looks at their timing goes one after the other, the rest side by side.
const systems = all.filter((file) => /^(test\/e2e|examples)\/|^test\/deploy\/chart-on-node/.test(file));
const rest = all.filter((file) => !systems.includes(file));
if (rest.length > 0) runTests(2, rest);
if (systems.length > 0) runTests(1, systems);
// The gateway once more, on a Node on which its threads can share a port.
if (named.length === 0) node("--import", "tsx", "test/run-on-second-node.ts");

// A file that hangs is named, and the others run.
function runTests(atOnce, files) {
  const limits = [`--test-concurrency=${atOnce}`, "--test-timeout=1200000"];
  node("--import", "tsx", "--test", ...limits, ...files);
}

function testsBelow(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true })
    .filter((file) => file.endsWith(".test.ts"))
    .map((file) => relative(root, join(folder, file)))
    .sort();
}
