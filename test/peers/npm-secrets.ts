import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rootCertificates } from "node:tls";
import { runCommand } from "../../src/run-command.ts";

/** A password in the npm settings of every build: no image may hold it. */
export const secretOfBuilds = "not-for-any-layer-c1f4";

/** What npm needs within a build to reach the registry as it does here: its settings, and certificates that are trusted. */
export interface NpmSecrets {
  /** For buildah and docker: secrets are there for single steps, and in no layer. */
  readonly flags: readonly string[];
  remove(): Promise<void>;
}

export async function npmSecrets(): Promise<NpmSecrets> {
  const { stdout } = await runCommand("npm", ["config", "list", "--json"]);
  const config = JSON.parse(stdout) as Record<string, unknown>;
  const settings = await Promise.all([config.globalconfig, config.userconfig].map(readText));
  const certificates = await Promise.all([config.cafile, process.env.NODE_EXTRA_CA_CERTS].map(readText));
  const directory = await mkdtemp(join(tmpdir(), "npm-secrets-"));
  const own = [
    `registry=${config.registry}`,
    "cafile=/run/secrets/ca",
    `//registry.invalid/:_authToken=${secretOfBuilds}`,
  ];
  await writeFile(join(directory, "npmrc"), [...settings, ...own, ""].join("\n"));
  await writeFile(join(directory, "ca"), [...rootCertificates, ...certificates].join("\n"));
  return {
    flags: ["npmrc", "ca"].flatMap((id) => ["--secret", `id=${id},src=${join(directory, id)}`]),
    remove: () => rm(directory, { recursive: true }),
  };
}

/** A file's text; nothing where no file is named, or there is none. */
async function readText(path: unknown): Promise<string> {
  return typeof path === "string" && path !== "" ? readFile(path, "utf8").catch(() => "") : "";
}
