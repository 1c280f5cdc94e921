import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { chainResource, extensionResource, wasmJson } from "../../test/peers/ads-resources.ts";
import { silentLog } from "../log.ts";
import { createWatchable } from "../watchable.ts";
import type { SnapshotResource } from "../xds/snapshot.ts";
import { typeUrls } from "../xds/type-urls.ts";
import { emptyConfig } from "./apply-response.ts";
import type { FilterConfig, GatewayConfig } from "./gateway-config.ts";
import { createUpdates } from "./prepare-updates.ts";

interface Work {
  readonly filter: FilterConfig;
  readonly signal: AbortSignal;
  done(): Promise<void>;
  fail(reason: string): Promise<void>;
}

/** Updates whose extension configurations are ready when the test says so. */
function create() {
  const config = createWatchable<GatewayConfig>(emptyConfig);
  const works: Work[] = [];
  const answers: [string, [string, string][]][] = [];
  const prepare = (filter: FilterConfig, signal: AbortSignal) =>
    new Promise<void>((resolve, reject) => {
      const done = () => nextTurn(resolve());
      const fail = (reason: string) => nextTurn(reject(new Error(reason)));
      works.push({ filter, signal, done, fail });
    });
  const updates = createUpdates({
    config,
    preparers: { extensionConfigs: prepare },
    onTaken: () => {},
    log: silentLog,
  });
  const take = (nonce: string, changed: readonly SnapshotResource[], removed: readonly string[] = []) =>
    updates.take({ typeUrl: typeUrls.extensionConfig, changed, removed, version: nonce }, (errors) =>
      answers.push([nonce, [...errors]]),
    );
  const inEffect = () =>
    Object.fromEntries([...config.value!.extensionConfigs].map(([name, c]) => [name, c]));
  return { take, updates, works, answers, inEffect };
}

const plugin = (name: string, configuration: string) => wasmJson(name, { file: "/x.wasm", configuration });
const resource = (name: string, configuration: string) => extensionResource(plugin(name, configuration));

test("a resource counts, and is answered for, when it is ready; one that is slow holds up no other", async () => {
  const { take, works, answers, inEffect } = create();
  take("1", [resource("slow", "1"), resource("quick", "1")]);
  assert.deepEqual([answers, inEffect()], [[], {}]);
  await works[1]!.done();
  assert.deepEqual([answers, Object.keys(inEffect())], [[], ["quick"]]);
  take("2", [resource("quick", "2")]);
  await works[2]!.done();
  assert.deepEqual(answers, [["2", []]]);
  assert.equal(inEffect().quick, works[2]!.filter);
  await works[0]!.done();
  assert.deepEqual(answers, [
    ["2", []],
    ["1", []],
  ]);
  assert.equal(inEffect().slow, works[0]!.filter);
  assert.ok(works.every(({ signal }) => signal.aborted));
});

test("one that cannot be got ready is refused with the reason, and its last good version stays", async () => {
  const { take, works, answers, inEffect } = create();
  take("1", [resource("a", "1")]);
  await works[0]!.done();
  take("2", [resource("a", "2"), resource("b", "1")]);
  await works[1]!.fail("no");
  await works[2]!.done();
  assert.deepEqual(answers.at(-1), ["2", [["a", "no"]]]);
  assert.equal(inEffect().a, works[0]!.filter);
  assert.equal(inEffect().b, works[2]!.filter);
  // What is in effect needs nothing, and is no error any more.
  take("3", [resource("a", "1")]);
  assert.deepEqual(answers.at(-1), ["3", []]);
  assert.equal(works.length, 3);
});

test("a newer version overtakes one that is not ready, and shares what did not change", async () => {
  const { take, works, answers, inEffect } = create();
  take("1", [chainResource("chain", plugin("a", "1"), plugin("b", "1"))]);
  take("2", [chainResource("chain", plugin("a", "2"), plugin("b", "1"))]);
  assert.equal(works[0]!.signal.aborted, true);
  assert.deepEqual(answers, [["1", []]]);
  await works[0]!.done();
  assert.deepEqual(inEffect(), {});
  await works[1]!.done();
  assert.equal(inEffect().chain, works[1]!.filter);
  const [first, second] = works.map(({ filter }) => (filter.kind === "chain" ? filter.filters : []));
  assert.notEqual(first![0], second![0]);
  assert.equal(first![1], second![1]);
});

test("one that is removed, or not asked for any more, never counts", async () => {
  const { take, updates, works, answers, inEffect } = create();
  take("1", [resource("a", "1"), resource("b", "1")]);
  take("2", [], ["a"]);
  updates.drop(typeUrls.extensionConfig, ["b"]);
  assert.deepEqual(answers, [
    ["2", []],
    ["1", []],
  ]);
  await works[0]!.done();
  await works[1]!.done();
  assert.deepEqual(inEffect(), {});
});
