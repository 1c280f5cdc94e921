// From saving a plugin's source to its effect, with `wasmline dev` on a new plugin with its four test cases.
//   node --import tsx bench/dev-loop.ts [edits=20] [language=assemblyscript]
// Prints ms until the first changed answer on a keep-alive connection, and CPU: with other programs beside it the former grows. The aim: below 1,000 ms for AssemblyScript.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { Agent } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { newPlugin } from "../src/plugin/new-plugin.ts";
import type { PluginLanguage } from "../src/plugin/plugin-source.ts";
import { freePortOffset } from "../test/peers/ports.ts";
import { startWasmline } from "../test/peers/program.ts";
import { get } from "../test/peers/request.ts";
import { cpuMs } from "./cpu.ts";
import { distribution } from "./distribution.ts";

const [edits = 20] = process.argv.slice(2).map(Number).filter(Number.isFinite);
const language = (process.argv.slice(2).find((each) => /^[a-z]/.test(each)) ??
  "assemblyscript") as PluginLanguage;
const limitMs = 300_000;
/** By language: the source, and a line in it behind which the plugin sets one more header. */
const places: Readonly<
  Record<PluginLanguage, readonly [file: string, line: RegExp, more: (value: string) => string]>
> = {
  assemblyscript: [
    "assembly/index.ts",
    /^ *responseHeaders\.set.*$/m,
    (value) => `    responseHeaders.set("x-edit", "${value}");`,
  ],
  go: [
    "main.go",
    /^.*func .*OnHttpResponseHeaders.*$/m,
    (value) => `\t_ = proxywasm.ReplaceHttpResponseHeader("x-edit", "${value}")`,
  ],
  rust: [
    "src/lib.rs",
    /^.*fn on_http_response_headers.*$/m,
    (value) => `        self.set_http_response_header("x-edit", Some("${value}"));`,
  ],
};

const root = await mkdtemp(join(tmpdir(), "wasmline-dev-"));
const directory = join(root, "edited");
await newPlugin({ name: "edited", language, directory });
const [file, line, more] = places[language];
const source = join(directory, file);
const text = await readFile(source, "utf8");
const offset = await freePortOffset();
const dev = startWasmline([
  ...["dev", directory, "--port-offset", String(offset)],
  ...["--data-dir", join(root, "data"), "--log-level", "warn"],
]);
try {
  await dev.waitFor("stdout", /^ready /m, limitMs);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const times: number[] = [];
  const usedBefore = cpuMs(dev.pid);
  for (let each = 0; each <= edits; each++) times.push(await measure(`edit-${each}`, agent));
  const used = (cpuMs(dev.pid) - usedBefore) / times.length;
  agent.destroy();
  const [first, ...others] = times;
  const said = (pattern: RegExp) =>
    [...dev.stdout().matchAll(pattern)].slice(-edits).map(([, ms]) => Number(ms));
  console.log(`${language}: ms from saving to the first changed answer (the first ${Math.round(first!)})`);
  console.log(`  ${distribution(others)}`);
  console.log(`of these to build: ${distribution(said(/built in (\d+) ms/g))}`);
  console.log(`CPU of an edit: ${used.toFixed(0)} ms, requests and a thread for the next tests among it`);
  console.log(`to test:           ${distribution(said(/passed in (\d+) ms/g))}`);
} finally {
  await dev.stop();
  await rm(root, { recursive: true });
}

/** Nobody saves twice in a second. */
async function finish(ms: number): Promise<number> {
  await pause(1500);
  return ms;
}

async function measure(value: string, agent: Agent): Promise<number> {
  const saved = performance.now();
  await writeFile(
    source,
    text.replace(line, (found) => `${found}\n${more(value)}`),
  );
  for (;;) {
    const { headers } = await get(8080 + offset, "/", "any.example.com", agent);
    if (headers["x-edit"] === value) return finish(performance.now() - saved);
    if (performance.now() - saved > limitMs)
      throw new Error(`${value} is not in effect:\n${dev.stdout()}${dev.stderr()}`);
    // What asks all the time takes the processor from the compiler.
    await pause(5);
  }
}
