import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { rootCertificates } from "node:tls";
import { runCommand } from "../../src/run-command.ts";

/**
 * Writes what npm needs within a build to reach the registry as it does here, and returns the flags that hand it to the
 * build as secrets, which are in no layer.
 */
export async function npmSecrets(directory: string): Promise<string[]> {
  const { stdout } = await runCommand("npm", ["config", "list", "--json"]);
  const config = JSON.parse(stdout) as Record<string, unknown>;
  const settings = await Promise.all([config.globalconfig, config.userconfig].map(readText));
  const certificates = await Promise.all([config.cafile, process.env.NODE_EXTRA_CA_CERTS].map(readText));
  const npmrc = join(directory, "npmrc");
  const ca = join(directory, "ca");
  const own = [`registry=${config.registry}`, "cafile=/run/secrets/ca", ""];
  await writeFile(npmrc, [...settings, ...own].join("\n"), { mode: 0o600 });
  await writeFile(ca, [...rootCertificates, ...certificates].join("\n"));
  return ["--secret", `id=npmrc,src=${npmrc}`, "--secret", `id=ca,src=${ca}`];
}

/** A file's text; nothing where no file is named, or there is none. */
async function readText(path: unknown): Promise<string> {
  return typeof path === "string" && path !== "" ? readFile(path, "utf8").catch(() => "") : "";
}
