import assert from "node:assert/strict";
import { Agent } from "node:http";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import { FilterChainConfigSchema } from "../../src/gen/envoy/extensions/filters/http/filter_chain/v3/filter_chain_pb.ts";
import {
  chainResource,
  clusterResource,
  extensionResource,
  listenerResource,
  slotJson,
  wasmJson,
} from "../peers/ads-resources.ts";
import { followWithGateway, startAdsServer } from "../peers/ads-server.ts";
import { openStream, startLongUpstream } from "../peers/long-upstream.ts";
import { freePort } from "../peers/ports.ts";
import { get } from "../peers/request.ts";
import { until } from "../peers/until.ts";

const built = (name: string) => join(import.meta.dirname, `../../build/plugins/${name}.wasm`);

/** A plugin that appends to the trail of a response. */
function marking(name: string, value: string): JsonObject {
  const rule = { operate: "append", headers: [{ key: "x-mark", appendValue: value }] };
  return wasmJson(name, { file: built("transformer"), configuration: JSON.stringify({ respRules: [rule] }) });
}

async function start(t: TestContext, first: Parameters<typeof startAdsServer>[1], port: number) {
  const upstream = await startLongUpstream();
  t.after(() => upstream.close());
  const server = await startAdsServer(t, { cluster: [clusterResource("up", upstream.port)], ...first });
  const gateway = followWithGateway(t, server.port);
  await until("it serves", async () => (await get(port, "/", "a.com")).status === 200);
  return { upstream, server, gateway };
}

test("300 edits under load: no request fails, none meets half an edit, and no plugin is left behind", async (t) => {
  const port = await freePort();
  let [own, names] = ["0", ["a", "b"]];
  const extensions = () => [
    extensionResource(marking("own", own)),
    chainResource("chain", ...names.map((name) => marking(name, name))),
  ];
  const filters = [slotJson("own"), slotJson("chain", FilterChainConfigSchema)];
  const first = { listener: [listenerResource("l", port, { filters })], extensionConfig: extensions() };
  const { server, gateway } = await start(t, first, port);
  const agent = new Agent({ keepAlive: true, maxSockets: 2 });
  t.after(() => agent.destroy());
  const faults: string[] = [];
  let isOver = false;
  let answers = 0;
  const ask = async () => {
    while (!isOver) {
      const answer = await get(port, "/", "a.com", agent).catch((error) => String(error));
      const mark = typeof answer === "string" ? answer : `${answer.status} ${answer.headers["x-mark"]}`;
      answers++;
      // Responses meet the last filter first.
      if (!/^200 (a|b|a, b|b, a|[abc], [abc], [abc]), \d+$/.test(mark)) faults.push(mark);
    }
  };
  const load = [ask(), ask()];
  const connections = gateway.listeners.get("l")!.connectionCount;
  for (let edit = 1; edit <= 300; edit++) {
    if (edit % 7 === 0) names = names.toReversed();
    else if (edit % 5 === 0) names = names.length === 2 ? [...names, "c"] : ["a", "b"];
    else own = String(edit);
    server.set({ extensionConfig: extensions() });
    if (edit % 3 === 0) await server.answered();
  }
  await server.answered();
  isOver = true;
  await Promise.all(load);
  assert.deepEqual(faults, []);
  assert.ok(answers > 100, `only ${answers} answers`);
  assert.equal(gateway.plugins.size, names.length + 1);
  assert.ok(gateway.listeners.get("l")!.connectionCount <= connections + 2);
});

test("a stream that runs across an edit, a refused one and a removal ends on the chain that it began with", async (t) => {
  const port = await freePort();
  const filters = [slotJson("chain", FilterChainConfigSchema)];
  const first = {
    listener: [listenerResource("l", port, { filters })],
    extensionConfig: [chainResource("chain", marking("a", "1"))],
  };
  const { upstream, server, gateway } = await start(t, first, port);
  const stream = await openStream(port, "a.com");
  await stream.receives("begin;");
  const refused = wasmJson("a", { file: built("transformer"), configuration: '{"respRules":1}' });
  for (const chain of [[marking("a", "2")], [refused], []]) {
    server.set({ extensionConfig: [chainResource("chain", ...chain)] });
    await server.answered();
    upstream.tick("more;");
    await stream.receives("more;");
  }
  assert.equal((await get(port, "/", "a.com")).headers["x-mark"], undefined);
  assert.equal(gateway.plugins.size, 0);
  stream.close();
});
