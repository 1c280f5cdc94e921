// Finds the peers of the tests and installs what is missing: node --import tsx test/peers/install-peers.ts
import { createLog } from "../../src/log.ts";
import { errorText } from "../../src/system-error.ts";
import { requireGo } from "./go.ts";
import { requireHelm } from "./helm.ts";
import { requireIstiod } from "./istiod.ts";
import { requireKubernetes } from "./kubernetes-programs.ts";
import { requireNodePrograms } from "./node-programs.ts";
import { requirePeers } from "./peers.ts";
import { requirePilotAgent } from "./pilot-agent.ts";

try {
  const log = createLog();
  const peers = {
    ...(await requirePeers(log)),
    go: await requireGo(log),
    ...(await requireKubernetes(log)),
    ...(await requireNodePrograms(log)),
    helm: await requireHelm(log),
    istiod: await requireIstiod(log),
    pilotAgent: await requirePilotAgent(log),
  };
  for (const [name, path] of Object.entries(peers)) console.log(`${name.padEnd(15)} ${path}`);
} catch (error) {
  console.error(errorText(error));
  process.exitCode = 1;
}
