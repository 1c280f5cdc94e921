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
  /** Kills it; what it keeps stays. */
  kill(): Promise<void>;
  /** Starts it at the same address with what it kept, by the same options or others. Only after `kill`. */
  restart(options?: DockerRegistryOptions): Promise<void>;
  /** Ends it, and removes what it kept. */
  stop(): Promise<void>;
}

/** The line for user `tester` with password `open-sesame`. */
export const testerHtpasswd = "tester:$2a$05$abcdefghijklmnopqrstuutXu9KzOt.1yBoZUeFWoT/914/JfszCO";

/** Starts Debian's docker-registry on a free port of loopback, with an empty directory of its own. */
export async function startDockerRegistry(options: DockerRegistryOptions = {}): Promise<DockerRegistry> {
  const directory = await mkdtemp(join(tmpdir(), "docker-registry-"));
  let child: ChildProcess;
  const start = async (address: string, { htpasswd, ...settings }: DockerRegistryOptions) => {
    const file = join(directory, "config.yml");
    if (htpasswd !== undefined) await writeFile(join(directory, "htpasswd"), `${htpasswd}\n`);
    await writeFile(file, configOf(directory, address, { htpasswd, ...settings }));
    child = spawn("docker-registry", ["serve", file], { stdio: ["ignore", "ignore", "pipe"] });
    return untilListening(child);
  };
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    await once(child, "exit");
  };
  const host = await start("127.0.0.1:0", options);
  return {
    host,
    directory,
    kill: () => end("SIGKILL"),
    async restart(changed = options) {
      await start(host, changed);
    },
    async stop() {
      await end("SIGTERM");
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Runs skopeo and returns what it prints. Throws with what it complains about. */
export async function runSkopeo(...args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)("skopeo", ["--insecure-policy", ...args]);
  return stdout;
}

function configOf(
  directory: string,
  address: string,
  { htpasswd, token, tls, contentOf }: DockerRegistryOptions,
): string {
  const auth =
    htpasswd === undefined ? "" : `  htpasswd:\n    realm: test\n    path: ${directory}/htpasswd\n`;
  const bearer = token === undefined ? "" : `  token:\n${token}`;
  return [
    "version: 0.1",
    "log:\n  level: info\n  accesslog:\n    disabled: true",
    `storage:\n  filesystem:\n    rootdirectory: ${contentOf?.directory ?? directory}/data`,
    `http:\n  addr: ${address}`,
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
