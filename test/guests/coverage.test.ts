// Which host functions and callbacks the cases use, by what guests have said in the records. WASI has wasi.test.ts.
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { callbackNames, hostFunctions } from "../../src/proxy-wasm/index.ts";
import { readModule } from "../../src/wasm/read-module.ts";

const here = fileURLToPath(new URL(".", import.meta.url));
const built = join(here, "../../build/guests");

/** Not used by any case, and why. */
const functionsLeftOut: Readonly<Record<string, string>> = {
  envoy_resolve_dns: "what it gives is up to the machine's resolver; hostcalls.test.ts has it",
  proxy_redis_init: "Higress' own; redis.test.ts has it",
  proxy_redis_call: "Higress' own; redis.test.ts has it",
  proxy_inject_encoded_data_to_filter_chain: "Higress' own; hostcalls.test.ts has it",
  proxy_get_upstream_hosts: "Higress' own; hostcalls.test.ts has it",
  proxy_set_upstream_override_host: "Higress' own; hostcalls.test.ts has it",
};
const callbacksLeftOut: Readonly<Record<string, string>> = {
  envoy_on_resolve_dns: "as envoy_resolve_dns",
  proxy_validate_configuration: "no host calls it",
  proxy_on_foreign_function: "Envoy calls it for extensions of its own only; hostcalls.test.ts has it",
  proxy_on_request_metadata: "METADATA frames of HTTP/2, which this host does not have",
  proxy_on_response_metadata: "METADATA frames of HTTP/2, which this host does not have",
  proxy_on_redis_call_response: "Higress' own; redis.test.ts has it",
  proxy_on_new_connection: "TCP; tcp-context.test.ts has it",
  proxy_on_downstream_data: "TCP; tcp-context.test.ts has it",
  proxy_on_upstream_data: "TCP; tcp-context.test.ts has it",
  proxy_on_downstream_connection_close: "TCP; tcp-context.test.ts has it",
  proxy_on_upstream_connection_close: "TCP; tcp-context.test.ts has it",
};

/** What the probe logs: `add_header_map_value -> 0` for a call, `on_tick 1` for a callback. */
async function readUsed(): Promise<ReadonlySet<string>> {
  const folder = join(here, "recorded");
  const texts = await Promise.all(
    (await readdir(folder)).map((name) => readFile(join(folder, name), "utf8")),
  );
  const said = texts.join("\n").matchAll(/info (?:([a-z_]+) ->|(on_[a-z_]+) \d)/g);
  return new Set([...said].map(([, call, callback]) => `proxy_${call ?? callback}`));
}

/** What modules made by hand import: they have nothing that they do not use. */
async function readImported(): Promise<readonly string[]> {
  const files = (await readdir(built)).filter((name) => /^wat-.*\.wasm$/.test(name));
  const modules = await Promise.all(
    files.map(async (name) => readModule(await readFile(join(built, name)), name)),
  );
  return modules.flatMap(({ imports }) => imports.map(({ name }) => name));
}

function unused(names: Iterable<string>, used: ReadonlySet<string>): string[] {
  return [...new Set(names)].filter((name) => !used.has(name)).sort();
}

test("every host function is used by a case", async () => {
  const used = new Set([...(await readUsed()), ...(await readImported())]);
  const all = (["0.1.0", "0.2.0", "0.2.1"] as const).flatMap((abi) => [...hostFunctions(abi)]);
  assert.deepEqual(unused(all, used), Object.keys(functionsLeftOut).sort());
});

test("every callback is used by a case", async () => {
  assert.deepEqual(unused(callbackNames, await readUsed()), Object.keys(callbacksLeftOut).sort());
});
