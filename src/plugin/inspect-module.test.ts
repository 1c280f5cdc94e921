import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { assembleModule } from "../../test/peers/assemble-module.ts";
import { guestModule } from "../../test/peers/guest-module.ts";
import { section, text } from "../../test/peers/hand-made-module.ts";
import { SystemError } from "../system-error.ts";
import { inspectModule } from "./inspect-module.ts";

const inspect = (bytes: Uint8Array) => inspectModule({ name: "m.wasm", bytes });
const withSections = (...sections: readonly (readonly number[])[]) =>
  Buffer.concat([guestModule({ callbacks: {} }), ...sections.map((each) => Buffer.from(each))]);
const producers = (...values: readonly (readonly [field: string, name: string, version: string])[]) =>
  section(0, [
    ...text("producers"),
    values.length,
    ...values.flatMap(([field, name, version]) => [...text(field), 1, ...text(name), ...text(version)]),
  ]);

test("what a module has, and what it lacks", () => {
  const report = inspect(
    guestModule({
      abi: "0.2.1",
      maxPages: 3,
      start: [],
      callbacks: { on_tick: [], on_request_headers: [{ call: "proxy_done", with: [] }] },
    }),
  );
  assert.deepEqual(report.abi, ["0.2.1"]);
  assert.deepEqual(report.callbacks, ["proxy_on_tick", "proxy_on_request_headers"]);
  assert.deepEqual(report.hostFunctions, ["env.proxy_log", "env.proxy_done"]);
  assert.deepEqual(report.start, ["_initialize"]);
  assert.deepEqual(report.memory, { initialBytes: 131_072, maximumBytes: 196_608, imported: false });
  assert.deepEqual(report.missingExports, []);
  assert.deepEqual(report.gateways.stock, { loads: true, adaptations: [], missingImports: [] });
  const inSections = report.sections.reduce((sum, { bytes }) => sum + bytes, 0);
  assert.ok(inSections < report.bytes && inSections > report.bytes - 8 - 6 * report.sections.length);
  const empty = inspect(assembleModule({}));
  assert.deepEqual(empty.missingExports, [
    "proxy_abi_version_…",
    "memory",
    "malloc or proxy_on_memory_allocate",
  ]);
  assert.equal(empty.gateways.stock.loads, false);
  assert.match(empty.gateways.stock.reason!, /no ABI marker/);
});

test("who cannot be known is unknown, and what tools say of themselves is believed", () => {
  const { sdk, language } = inspect(guestModule({ callbacks: {} }));
  assert.deepEqual([sdk, language], [{ name: "unknown" }, { name: "unknown" }]);
  const rust = inspect(withSections(producers(["language", "Rust", ""], ["processed-by", "rustc", "1.90"])));
  assert.equal(rust.language.name, "Rust");
  assert.deepEqual(rust.producers[1], { field: "processed-by", name: "rustc", version: "1.90" });
  assert.equal(
    inspect(withSections(producers(["language", "C_plus_plus_14", ""]))).language.name,
    "C or C++",
  );
  assert.equal(inspect(withSections(producers(["processed-by", "clang", "18"]))).language.name, "C or C++");
  const tinygo = withSections(section(0, [...text("tinygo_stuff")]));
  assert.equal(inspect(tinygo).language.name, "Go (TinyGo)");
  const mark = (encoding: BufferEncoding, name: string) =>
    withSections(section(0, [...text("data"), ...Buffer.from(name, encoding)]));
  assert.equal(
    inspect(mark("latin1", "/proxy-wasm-0.2.3/src/dispatcher.rs")).sdk.name,
    "proxy-wasm-rust-sdk",
  );
  assert.equal(inspect(mark("utf16le", "~lib/string.ts")).language.name, "AssemblyScript");
  assert.equal(inspect(withSections(section(0, [...text("producers"), 200]))).producers.length, 0);
});

test("for Higress' ABI: what is changed for a stock Envoy, and what it cannot have", () => {
  const higress = inspect(guestModule({ abi: "0.2.100", callbacks: {} }));
  assert.deepEqual(higress.gateways.stock.adaptations, ["marker"]);
  assert.deepEqual(higress.gateways.higress.adaptations, []);
  const redis = inspect(
    guestModule({
      abi: "0.2.100",
      callbacks: { on_tick: [{ call: "proxy_redis_call", with: ["a", "b", "OUT"] }] },
    }),
  );
  assert.equal(redis.gateways.stock.loads, false);
  assert.match(redis.gateways.stock.reason!, /env\.proxy_redis_call/);
  assert.deepEqual(redis.gateways.higress.missingImports, ["env.proxy_redis_call"]);
});

test("plugins of this repository are known by what they are made with", async () => {
  for (const name of ["custom-response", "key-auth"]) {
    const path = new URL(`../../build/plugins/${name}.wasm`, import.meta.url);
    const { sdk, language, gateways } = inspect(await readFile(path));
    assert.match(sdk.name, /AssemblyScript library/);
    assert.equal(language.name, "AssemblyScript");
    assert.deepEqual(gateways.stock, { loads: true, adaptations: [], missingImports: [] });
  }
});

test("bytes that are no module are refused", () => {
  assert.throws(
    () => inspect(Buffer.from("hello, world")),
    (error) => error instanceof SystemError && error.code === "module-invalid",
  );
});
