import { mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { requirePeers } from "../../peers/peers.ts";
import { startProgram } from "../../peers/program.ts";
import { until } from "../../peers/until.ts";
import { bootstrap } from "./config.ts";
import { type LogLine, logFormat, parseLine } from "./log-lines.ts";

/** An Envoy that takes listeners and clusters as they are set. */
export interface Envoy {
  /** Lines of the log since `clearLog`; those that are not of the log's form have component "". */
  readonly log: () => readonly LogLine[];
  clearLog(): void;
  readonly mainThread: string;
  setListeners(listeners: readonly object[]): Promise<void>;
  setClusters(clusters: readonly object[]): Promise<void>;
  /** An admin page as JSON. */
  admin<T>(path: string): Promise<T>;
  adminText(path: string): Promise<string>;
  /** Resolves when Envoy is gone, stopped or crashed. */
  readonly ended: Promise<void>;
  hasEnded(): boolean;
  close(): Promise<void>;
}

/** Starts a real Envoy with one worker that says everything about Wasm in its log. */
export async function startEnvoy(): Promise<Envoy> {
  const { envoy } = await requirePeers();
  const dir = await mkdtemp(join(tmpdir(), "wasmline-guests-"));
  await writeFile(join(dir, "bootstrap.json"), JSON.stringify(bootstrap(dir)));
  const files = discoveryFiles(dir);
  await files.write("lds", []);
  await files.write("cds", []);
  const program = startProgram(envoy, [
    ...["-c", join(dir, "bootstrap.json"), "--admin-address-path", join(dir, "admin")],
    ...["--concurrency", "1", "--base-id-path", join(dir, "base-id"), "--use-dynamic-base-id"],
    ...["-l", "warning", "--component-log-level", "wasm:trace", "--file-flush-interval-msec", "5"],
    ...["--log-format", logFormat, "--log-format-escaped", "--drain-time-s", "0"],
  ]);
  const base = `http://${await until("Envoy's admin address", () => readAddress(join(dir, "admin")))}`;
  let gone = false;
  const ended = program.ended.then(() => {
    gone = true;
  });
  let seen = 0;
  const log = createLog(program.stderr);
  const adminText = async (path: string) => {
    const response = await fetch(`${base}${path}`);
    if (!response.ok) throw new Error(`${path} answered ${response.status}`);
    return response.text();
  };
  await until("Envoy being live", async () => (await adminText("/ready")).startsWith("LIVE"));
  return {
    log: () => log(seen),
    clearLog() {
      seen += log(seen).length;
    },
    mainThread: String(program.pid),
    setListeners: (listeners) => files.write("lds", listeners),
    setClusters: (clusters) => files.write("cds", clusters),
    admin: async <T>(path: string) => JSON.parse(await adminText(path)) as T,
    adminText,
    ended,
    hasEnded: () => gone,
    async close() {
      await program.stop("SIGKILL");
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function readAddress(file: string): Promise<string | undefined> {
  return (await readFile(file, "utf8").catch(() => "")) || undefined;
}

/** Reads whole lines of a growing text, each once. */
function createLog(text: () => string): (from: number) => readonly LogLine[] {
  const lines: LogLine[] = [];
  let read = 0;
  return (from) => {
    const all = text();
    const end = all.lastIndexOf("\n") + 1;
    if (end > read)
      for (const line of all.slice(read, end - 1).split("\n"))
        lines.push(parseLine(line) ?? { thread: "", level: "", component: "", text: line });
    read = end;
    return lines.slice(from);
  };
}

/** The files that Envoy watches, each replaced as a whole. */
function discoveryFiles(dir: string) {
  let version = 0;
  return {
    async write(name: "lds" | "cds", resources: readonly object[]): Promise<void> {
      const file = join(dir, `${name}.json`);
      await writeFile(`${file}.new`, JSON.stringify({ version_info: String(++version), resources }));
      await rename(`${file}.new`, file);
    },
  };
}
