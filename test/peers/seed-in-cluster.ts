import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Kubernetes } from "./kubernetes.ts";
import type { SeedFiles } from "./seed-system.ts";

const crds = fileURLToPath(new URL("../../api/crds", import.meta.url));

/** Makes a cluster know WasmPlugins, and gives it the chapter's namespaces. */
export async function prepareCluster(plane: Kubernetes): Promise<void> {
  await plane.kubectl(["apply", "-f", crds]);
  await plane.kubectl(["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"]);
  for (const namespace of ["higress-system", "higress-course"])
    await plane.kubectl(["create", "namespace", namespace]);
}

/**
 * Puts the chapter's resources into a cluster, as they are but for their upstream: an API server takes no endpoints on
 * loopback, so the services are external names for it, on its port.
 */
export async function applySeed(plane: Kubernetes, { dir, upstreamPort }: SeedFiles): Promise<void> {
  const read = (name: string) => readFile(join(dir, name), "utf8");
  const ingresses = (await read("ingresses.yaml")).replaceAll("number: 8080", `number: ${upstreamPort}`);
  const documents = (await read("services.yaml")).split(/^---$/m);
  const services = documents
    .filter((text) => /^kind: Service$/m.test(text))
    .map((text) =>
      text
        .replace("port: 8080", `port: ${upstreamPort}`)
        .replace("spec:", "spec:\n  type: ExternalName\n  externalName: 127.0.0.1"),
    );
  for (const text of [await read("custom-response.yaml"), await read("chain.yaml"), ingresses, ...services])
    await plane.kubectl(["apply", "-f", "-"], text);
}
