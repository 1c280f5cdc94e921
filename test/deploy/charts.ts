import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { load, loadAll } from "js-yaml";
import { type CommandResult, runCommand } from "../../src/run-command.ts";
import { requireHelm } from "../peers/helm.ts";

export const chart = fileURLToPath(new URL("../../deploy/helm/wasmline/", import.meta.url));
const sets = fileURLToPath(new URL("charts/", import.meta.url));

/** Of an object of Kubernetes what tests look at. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec?: { readonly template?: PodTemplate } & Readonly<Record<string, unknown>>;
  readonly [field: string]: unknown;
}

export interface PodTemplate {
  readonly metadata: { readonly labels: Readonly<Record<string, string>> };
  readonly spec: PodSpec;
}

export interface PodSpec {
  readonly enableServiceLinks?: boolean;
  readonly serviceAccountName: string;
  readonly containers: readonly {
    readonly name: string;
    readonly args: readonly string[];
    readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  }[];
}

/** What a folder of `charts/` says: the values of a user, and what helm makes of them. */
export interface ValueSet {
  readonly name: string;
  readonly values: object;
  /** What the chart is expected to give; undefined where it was not written yet. */
  readonly expected: string | undefined;
  readonly goldenPath: string;
}

export function readValueSets(): ValueSet[] {
  return readdirSync(sets).map((name) => {
    const goldenPath = join(sets, name, "manifests.yaml");
    return {
      name,
      values: load(readFileSync(join(sets, name, "values.yaml"), "utf8")) as object,
      expected: existsSync(goldenPath) ? readFileSync(goldenPath, "utf8") : undefined,
      goldenPath,
    };
  });
}

/** Runs a command of helm over the chart with these values. */
export async function runHelm(
  args: readonly string[],
  values: object,
  timeoutMs?: number,
): Promise<CommandResult> {
  const directory = await mkdtemp(join(tmpdir(), "chart-"));
  try {
    const file = join(directory, "values.json");
    await writeFile(file, JSON.stringify(values));
    const env = {
      ...process.env,
      HELM_CACHE_HOME: directory,
      HELM_CONFIG_HOME: directory,
      HELM_DATA_HOME: directory,
    };
    return await runCommand(await requireHelm(), [...args, "--values", file], { env, timeoutMs });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Renders the chart as `helm install edge` would in the namespace higress-system. */
export async function renderChart(values: object): Promise<string> {
  const args = ["template", "edge", chart, "--namespace", "higress-system", "--kube-version", "1.36.0"];
  const { status, stdout, stderr } = await runHelm(args, values);
  if (status !== 0) throw new Error(stderr);
  return stdout;
}

export function readManifests(text: string): Manifest[] {
  return loadAll(text).filter((document) => document !== null && document !== undefined) as Manifest[];
}

/** The text without what is another one each time: certificates and their keys. */
export function withoutCertificates(text: string): string {
  return text.replace(/^(\s+(?:ca\.crt|tls\.crt|tls\.key|caBundle): )LS0t\S+$/gm, "$1<PEM>");
}
