import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

export interface DockerRegistryOptions {
  /** Asks for Basic authentication by a file of such lines. */
  readonly htpasswd?: string;
  /** Asks for bearer tokens, as the section `auth.token` of the registry's configuration, in YAML at indent 4. */
  readonly token?: string;
  /** Speaks TLS, with the certificate and the key in these files. */
  readonly tls?: { readonly certificate: string; readonly key: string };
  /** Serves what another one has. */
  readonly contentOf?: DockerRegistry;
}

export interface DockerRegistry {
  /** `127.0.0.1:port`. */
  readonly host: string;
  /** Where it keeps its blobs. */
  readonly directory: string;
  stop(): Promise<void>;
}

/** The line for user `tester` with password `open-sesame`. */
export const testerHtpasswd = "tester:$2a$05$abcdefghijklmnopqrstuutXu9KzOt.1yBoZUeFWoT/914/JfszCO";

/** Starts Debian's docker-registry on a free port of loopback, with an empty directory of its own. */
export async function startDockerRegistry(options: DockerRegistryOptions = {}): Promise<DockerRegistry> {
  const directory = await mkdtemp(join(tmpdir(), "docker-registry-"));
  const file = join(directory, "config.yml");
  if (options.htpasswd !== undefined) await writeFile(join(directory, "htpasswd"), `${options.htpasswd}\n`);
  await writeFile(file, configOf(directory, options));
  const child = spawn("docker-registry", ["serve", file], { stdio: ["ignore", "ignore", "pipe"] });
  const host = await untilListening(child);
  return {
    host,
    directory,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill("SIGTERM");
        await once(child, "exit");
      }
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Runs skopeo and returns what it prints. Throws with what it complains about. */
export async function runSkopeo(...args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)("skopeo", ["--insecure-policy", ...args]);
  return stdout;
}

function configOf(directory: string, { htpasswd, token, tls, contentOf }: DockerRegistryOptions): string {
  const auth =
    htpasswd === undefined ? "" : `  htpasswd:\n    realm: test\n    path: ${directory}/htpasswd\n`;
  const bearer = token === undefined ? "" : `  token:\n${token}`;
  return [
    "version: 0.1",
    "log:\n  level: info\n  accesslog:\n    disabled: true",
    `storage:\n  filesystem:\n    rootdirectory: ${contentOf?.directory ?? directory}/data`,
    `http:\n  addr: 127.0.0.1:0`,
    tls ? `  tls:\n    certificate: ${tls.certificate}\n    key: ${tls.key}` : "",
    auth || bearer ? `auth:\n${auth}${bearer}` : "",
  ].join("\n");
}

/** Resolves with the address that its log names. Reads the log to the end, so that it never waits for a reader. */
function untilListening(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const lines: string[] = [];
    child.once("error", reject);
    child.once("exit", () => reject(new Error(`docker-registry ended:\n${lines.slice(-5).join("\n")}`)));
    createInterface({ input: child.stderr! }).on("line", (line) => {
      lines.push(line);
      const address = /listening on (127\.0\.0\.1:\d+)/.exec(line)?.[1];
      if (address !== undefined) resolve(address);
    });
  });
}
