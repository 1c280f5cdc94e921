// From saving a file to its effect, on the chapter's system.
//   node --import tsx bench/edit-latency.ts [edits=50] [--gateway envoy|embedded] [--load]
// With --load, wrk sends requests on 32 keep-alive connections meanwhile, as fast as they are answered.
// "answer": to the first changed answer on a keep-alive connection. "on the wire": to the ECDS response of discovery at
// a second ADS client. Both in ms; istiod needs 104 to 155 for the latter (its debounce is 100).
import { readFile, writeFile } from "node:fs/promises";
import { Agent } from "node:http";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { gatewayNode } from "../src/agent/node.ts";
import { NodeSchema } from "../src/gen/envoy/config/core/v3/base_pb.ts";
import { DeltaDiscoveryRequestSchema } from "../src/gen/envoy/service/discovery/v3/discovery_pb.ts";
import { openAdsChannel } from "../src/xds/client.ts";
import { typeUrls } from "../src/xds/type-urls.ts";
import { startLoad } from "../test/e2e/load.ts";
import { get } from "../test/peers/request.ts";
import { startSeed } from "../test/peers/seed-system.ts";
import { distribution } from "./distribution.ts";
import { gatewayArgument } from "./gateway-argument.ts";

const edits = Number(process.argv[2] ?? 50);
const system = await startSeed(gatewayArgument());
const agent = new Agent({ keepAlive: true, maxSockets: 1 });
let arrived = (_at: number) => {};
const nextArrival = () =>
  new Promise<number>((resolve) => {
    arrived = resolve;
  });
const channel = openAdsChannel(`127.0.0.1:${15010 + system.offset}`);
const stream = channel.deltaAggregatedResources();
stream.on("data", ({ nonce }) => {
  arrived(performance.now());
  stream.write(
    create(DeltaDiscoveryRequestSchema, { typeUrl: typeUrls.extensionConfig, responseNonce: nonce }),
  );
});
stream.on("error", () => {});
const { id, metadata } = gatewayNode({ name: "bench" });
const subscribed = nextArrival();
stream.write(
  create(DeltaDiscoveryRequestSchema, {
    node: create(NodeSchema, { id, metadata: metadata as never }),
    typeUrl: typeUrls.extensionConfig,
    resourceNamesSubscribe: ["higress-system.custom-response"],
  }),
);

await subscribed;
const file = join(system.dir, "custom-response.yaml");
const text = await readFile(file, "utf8");
/** Saves an edit of key1 and gives the moment at which writing began. */
async function save(edit: string): Promise<number> {
  const saved = performance.now();
  await writeFile(file, text.replace(/key1=\S+/, `key1=${edit}`));
  return saved;
}

const load = process.argv.includes("--load") ? await startLoad(system, "foo.com") : undefined;
const onTheWire: number[] = [];
const answers: number[] = [];
for (let edit = 1; edit <= edits; edit++) {
  const arrival = nextArrival();
  const saved = await save(`edit-${edit}`);
  // Requests begin after the resource has left, so that they take no processor from its way.
  onTheWire.push((await arrival) - saved);
  while ((await get(system.trafficPort, "/", "other.com", agent)).headers.key1 !== `edit-${edit}`) {
    if (performance.now() - saved > 10_000)
      throw new Error(`edit ${edit} did not take effect:\n${system.up.stderr()}`);
  }
  answers.push(performance.now() - saved);
}
console.log(`${edits} edits; ms from saving to`);
console.log(`  ECDS on the wire          ${distribution(onTheWire)}`);
console.log(`  the first changed answer  ${distribution(answers)}`);
const report = await load?.finish();
if (report)
  console.log(`under load: ${report.requests} requests, ${report.failures.join("; ") || "none failed"}`);
agent.destroy();
stream.cancel();
channel.close();
await system.close();
