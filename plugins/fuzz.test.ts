import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { before, describe, it } from "node:test";
import { buildPlugin } from "../sdk/test/modules.ts";
import {
  compileModule,
  createLocalOutside,
  createPluginHost,
  type HeaderLine,
  MemoryStream,
  type Plugin,
  type PluginHost,
  type PluginModule,
} from "../src/proxy-wasm/index.ts";
import { SystemError } from "../src/system-error.ts";
import { fc, fuzzRuns } from "../test/peers/properties.ts";
import {
  common,
  type Exchange,
  exchanges,
  method,
  readSamples,
  texts,
  usual,
  words,
} from "../test/plugin-inputs.ts";

// Whatever the configuration and the requests are: a plugin starts, or says why not. It never traps.

for (const [name, known] of Object.entries(words))
  describe(`${name} with anything`, () => {
    let module: PluginModule;
    let host: PluginHost;
    const logs: string[] = [];
    before(async () => {
      module = await compileModule(await readFile(await buildPlugin(name)), { name });
      host = createPluginHost(createLocalOutside({ log: ({ message }) => logs.push(message) }));
    });

    /** Starts with a configuration, or makes sure that the log says why not. */
    function start(configuration: Uint8Array | string): Plugin | undefined {
      logs.length = 0;
      try {
        return host.start({ name, module, configuration });
      } catch (error) {
        assert.ok(error instanceof SystemError);
        assert.ok(
          logs.some((line) => line.startsWith("configuration")),
          `${error.message}: ${logs.join("; ")}`,
        );
        assertNoTrap();
        return undefined;
      }
    }

    function assertNoTrap(): void {
      assert.deepEqual(
        logs.filter((line) => line.startsWith("plugin failed")),
        [],
      );
    }

    function serve(plugin: Plugin, { path, host: authority, lines, type, body, status }: Exchange): void {
      const headers: HeaderLine[] = [["content-type", type], ...lines];
      const stream = new MemoryStream([plugin]);
      stream.sendRequest({
        headers: [[":authority", authority], [":path", path], ...method, ...headers],
        body,
      });
      assert.ok(stream.request?.complete || stream.response, "the request is held for ever");
      if (stream.request?.complete) stream.sendResponse({ headers: [[":status", status], ...headers], body });
      stream.end();
      assert.equal(plugin.status().failures, 0, logs.join("; "));
      assertNoTrap();
    }

    it("starts, or says why not, and serves any request", () => {
      fc.assert(
        fc.property(
          texts(readSamples(name), known),
          fc.array(exchanges(known), { maxLength: 3 }),
          (text, requests) => {
            const plugin = start(text);
            if (!plugin) return;
            for (const each of [usual, ...requests]) serve(plugin, each);
            plugin.close();
          },
        ),
        { numRuns: fuzzRuns(300) },
      );
    });

    it("refuses what is too deep, and reads what is huge", () => {
      for (const open of ["[", '{"a":', '{"_rules_":[']) assert.equal(start(open.repeat(20_000)), undefined);
      const member = (index: number) => `"member-${index}":${JSON.stringify(common)}`;
      start(`{${Array.from({ length: 20_000 }, (_, index) => member(index)).join()}}`)?.close();
      for (const word of known)
        start(JSON.stringify({ [word]: Array.from({ length: 50_000 }, (_, index) => `${index}`) }))?.close();
      for (const word of known) start(JSON.stringify({ [word]: "x".repeat(1_000_000) }))?.close();
      assertNoTrap();
    });

    it("says a bounded number of things", () => {
      start(
        JSON.stringify(Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`m${index}`, 1]))),
      )?.close();
      assert.ok(logs.length <= 2 * 101, `${logs.length} lines`);
    });
  });
