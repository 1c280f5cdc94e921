// A million requests through each plugin of the repository, one after the other.
//   node --import tsx bench/plugin-endurance.ts [requests=1000000] [PLUGIN…]
// Prints the memory of the plugin's Vm at powers of ten, and its time per request; the reference is a flat line.
import { endurancePlugins, sendRequests, startEndurance } from "../test/plugin-endurance.ts";

const requests = Number(process.argv.slice(2).find((each) => /^\d+$/.test(each)) ?? 1_000_000);
const wanted = process.argv.slice(2).filter((each) => Object.hasOwn(endurancePlugins, each));

for (const name of wanted.length > 0 ? wanted : Object.keys(endurancePlugins)) {
  const { plugin } = await startEndurance(name);
  const begin = process.cpuUsage();
  const sizes: string[] = [];
  let sent = 0;
  for (let next = 1_000; sent < requests; next *= 10) {
    const to = Math.min(next, requests);
    sendRequests(plugin, sent, to);
    sent = to;
    sizes.push(`${sent}: ${plugin.status().memoryBytes / 1024} KiB`);
  }
  const { user, system } = process.cpuUsage(begin);
  const { failures } = plugin.status();
  console.log(
    `${name}  ${sizes.join("  ")}  ${((user + system) / requests).toFixed(1)} µs of CPU a request, ${failures} traps`,
  );
}
