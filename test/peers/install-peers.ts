// Finds the peers of the tests and installs what is missing: node --import tsx test/peers/install-peers.ts
import { createLog } from "../../src/log.ts";
import { errorText } from "../../src/system-error.ts";
import { requirePeers } from "./peers.ts";

try {
  const peers = await requirePeers(createLog());
  for (const [name, path] of Object.entries(peers)) console.log(`${name.padEnd(15)} ${path}`);
} catch (error) {
  console.error(errorText(error));
  process.exitCode = 1;
}
