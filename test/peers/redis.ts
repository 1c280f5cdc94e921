import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./ports.ts";

export interface RedisOptions {
  /** Any free one unless given. */
  readonly port?: number;
  /** Of the user `default`. */
  readonly password?: string;
  /** Further lines of its configuration, as `user name on >password ~* +@all`. */
  readonly configuration?: readonly string[];
}

export interface Redis {
  readonly port: number;
  stop(): Promise<void>;
}

/** Starts Debian's redis-server on loopback, with nothing on disk. */
export async function startRedis(options: RedisOptions = {}): Promise<Redis> {
  const directory = await mkdtemp(join(tmpdir(), "redis-"));
  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? (await freePort());
    const child = spawn("redis-server", ["-"], { stdio: ["pipe", "pipe", "inherit"], cwd: directory });
    child.stdin!.end(configurationOf(port, options));
    try {
      await untilReady(child);
      return { port, stop: () => stop(child, directory) };
    } catch (error) {
      // Somebody else may have taken the port meanwhile.
      if (attempt < 3 && options.port === undefined && /in use/.test(String(error))) continue;
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }
}

function configurationOf(port: number, { password, configuration = [] }: RedisOptions): string {
  const auth = password === undefined ? [] : [`requirepass ${password}`];
  const lines = [`port ${port}`, "bind 127.0.0.1", 'save ""', "appendonly no", ...auth, ...configuration];
  return `${lines.join("\n")}\n`;
}

/** Reads what it writes to the end, so that it never waits for a reader. */
function untilReady(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = "";
    child.once("error", reject);
    child.once("exit", () => reject(new Error(`redis-server ended:\n${text.slice(-1000)}`)));
    child.stdout!.setEncoding("utf8").on("data", (chunk: string) => {
      text = (text + chunk).slice(-10_000);
      if (text.includes("Ready to accept connections")) resolve();
    });
  });
}

async function stop(child: ChildProcess, directory: string): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    child.kill("SIGKILL");
    await once(child, "exit");
  }
  await rm(directory, { recursive: true, force: true });
}
