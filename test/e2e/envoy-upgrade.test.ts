import assert from "node:assert/strict";
import { once } from "node:events";
import { chmodSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { EnvoyState } from "../../src/agent/run-envoy.ts";
import { requirePeers } from "../peers/peers.ts";
import { type Program, startWasmline } from "../peers/program.ts";
import { get } from "../peers/request.ts";
import { layOutSeed, type SeedFiles } from "../peers/seed-system.ts";
import { until } from "../peers/until.ts";
import { startLoad } from "./load.ts";
import { getJson, moduleStatus } from "./status.ts";

let files: SeedFiles;
let up: Program;
let envoy: string;
/** The symbolic link that the agent runs, as a package manager would flip it. */
let link: string;
let settings: string;

before(async () => {
  ({ envoy } = await requirePeers());
  files = await layOutSeed();
  await files.edit("chain.yaml", (text) => text.replace("fields: [", "sampling: 0\n    fields: ["));
  link = join(files.dir, "..", "envoy");
  settings = join(files.dir, "..", "settings.yaml");
  symlinkSync(envoy, link);
  writeFileSync(settings, "{}");
  up = startWasmline([
    ...["up", "-f", files.dir, ...files.flags, "--envoy-path", link],
    ...["--envoy-bootstrap", settings, "--drain-seconds", "1"],
  ]);
  await up.waitFor("stdout", /^ready .*$/m);
});
after(async () => {
  await up.stop();
  await files.close();
});

const state = async () =>
  (await getJson<{ envoy: EnvoyState & { phase: "running" } }>(15020 + files.offset, "/debug/modules")).envoy;
const answer = async () => (await get(files.trafficPort, "/", "other.com")).headers;

/** Puts a program beside Envoy and flips the link to it. */
function flip(name: string, script: string): void {
  const path = join(files.dir, "..", name);
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  symlinkSync(path, `${link}.new`);
  renameSync(`${link}.new`, link);
}

/** Waits for another epoch that serves, and gives what `/healthz/ready` said meanwhile. */
async function takenOver(epoch: number): Promise<readonly number[]> {
  const seen = new Set<number>();
  await until(
    `epoch ${epoch} serves`,
    async () => {
      seen.add((await get(15020 + files.offset, "/healthz/ready")).status);
      const now = await state();
      return now.epoch === epoch && now.successor === undefined;
    },
    60_000,
  );
  return [...seen];
}

test("Envoy is upgraded twice under load: no request fails, the plugins run, the gateway stays ready", async () => {
  const load = await startLoad(files, "other.com");
  for (const epoch of [1, 2]) {
    flip(`envoy-${epoch}`, `exec ${envoy} "$@"`);
    assert.deepEqual(await takenOver(epoch), [200]);
    assert.equal((await answer()).key1, "value1");
  }
  const { failures, requests } = await load.finish();
  assert.deepEqual(failures, []);
  assert.ok(requests > 0);
});

test("a broken upgrade changes nothing and is reported; what is edited still takes effect", async () => {
  const load = await startLoad(files, "other.com");
  const { pid } = await state();
  flip("envoy-broken", "echo not an Envoy >&2; exit 1");
  const failure = await until("the failure is reported", async () => (await state()).failure);
  assert.match(failure, /ended with status 1 and said: not an Envoy/);
  assert.match(up.stderr(), /Envoy is not restarted, it serves on .*not an Envoy/);
  assert.equal((await state()).pid, pid);
  await files.edit("custom-response.yaml", (text) => text.replace("key1=value1", "key1=edited"));
  await until("the edit is in effect", async () => (await answer()).key1 === "edited");
  assert.deepEqual((await load.finish()).failures, []);
});

test("SIGUSR2 brings a changed bootstrap into effect, and edits take effect after it", async () => {
  flip("envoy-repaired", `exec ${envoy} "$@"`);
  await takenOver(3);
  assert.equal((await state()).failure, undefined);
  const load = await startLoad(files, "other.com");
  writeFileSync(settings, "stats_config: {stats_tags: [{tag_name: zone, fixed_value: here}]}");
  process.kill(up.pid, "SIGUSR2");
  await until(
    "the settings are in effect",
    async () => (await get(files.adminPort, "/config_dump")).body.includes('"fixed_value": "here"'),
    60_000,
  );
  await until("the other one serves", async () => (await state()).successor === undefined, 60_000);
  await files.edit("custom-response.yaml", (text) => text.replace("key1=edited", "key1=again"));
  await until("the edit is in effect", async () => (await answer()).key1 === "again");
  const ended = () => up.stderr().match(/taken over from has ended/g)?.length;
  await until("the one before has ended", () => ended() === 4, 60_000);
  for (const plugin of ["custom-response", "wasm-transformer", "wasm-keyauth", "easy-logger"])
    assert.equal((await moduleStatus(files.offset, plugin))?.state, "ready", plugin);
  assert.deepEqual((await load.finish()).failures, []);
});

test("an admin port that is taken ends `up` at its start with what to do", async () => {
  const other = await layOutSeed();
  const taken = createServer().listen(other.adminPort, "127.0.0.1");
  await once(taken, "listening");
  try {
    const second = startWasmline(["up", "-f", other.dir, ...other.flags]);
    assert.equal(await second.ended, 1);
    assert.match(
      second.stderr(),
      new RegExp(`error network: .*127.0.0.1:${other.adminPort}: another program`),
    );
  } finally {
    taken.close();
    await other.close();
  }
});
