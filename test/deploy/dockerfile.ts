import { existsSync, readFileSync } from "node:fs";
import { cp, mkdir } from "node:fs/promises";
import { basename, dirname, join, matchesGlob } from "node:path";
import { fileURLToPath } from "node:url";
import { runCommand } from "../../src/run-command.ts";

/** The build's context. */
export const root = fileURLToPath(new URL("../../", import.meta.url));
const file = join(root, "deploy/docker/Dockerfile");

export interface Instruction {
  readonly keyword: string;
  readonly words: string;
}

export interface Stage {
  readonly name: string;
  /** What it begins with: an image, with arguments in it, or another stage. */
  readonly base: string;
  readonly instructions: readonly Instruction[];
}

export interface Dockerfile {
  readonly arguments: ReadonlyMap<string, string>;
  readonly stages: ReadonlyMap<string, Stage>;
}

export function readDockerfile(): Dockerfile {
  const text = readFileSync(file, "utf8")
    .replace(/^#.*\n/gm, "")
    .replace(/\\\n/g, " ");
  const defaults = new Map<string, string>();
  const stages = new Map<string, Stage & { instructions: Instruction[] }>();
  let current: Instruction[] | undefined;
  for (const line of text.split("\n").filter((one) => one.trim() !== "")) {
    const [, keyword = "", words = ""] = /^(\S+)\s+(.*)$/.exec(line) ?? [];
    if (keyword === "FROM") {
      const [, base = "", name = ""] = /^(\S+) AS (\S+)$/.exec(words) ?? [];
      current = [];
      stages.set(name, { name, base, instructions: current });
    } else if (keyword === "ARG" && !current) {
      const [key, value] = words.split("=");
      defaults.set(key!, value!);
    } else current!.push({ keyword, words });
  }
  return { arguments: defaults, stages };
}

/** What a COPY takes, and from which stage; the context where there is none. */
export function readCopy({ words }: Instruction): {
  from: string | undefined;
  sources: string[];
  target: string;
} {
  const parts = words.split(/\s+/);
  const from = parts[0]?.startsWith("--from=") ? parts.shift()!.slice("--from=".length) : undefined;
  const target = parts.pop()!;
  return { from, sources: parts, target };
}

/** Whether a path of the context reaches the builder: the last line of the ignore file that matches decides. */
export function isSent(path: string): boolean {
  let sent = true;
  for (const line of readFileSync(`${file}.dockerignore`, "utf8").split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const pattern = line.replace(/^!/, "");
    if (pattern === "*" || isWithin(path, pattern)) sent = line.startsWith("!");
  }
  return sent;
}

/** The path itself, or something it is in. */
function isWithin(path: string, pattern: string): boolean {
  const parts = path.split("/");
  return parts.some((_, index) => matchesGlob(parts.slice(0, index + 1).join("/"), pattern));
}

/** Does what a stage does in its working directory, in a directory of this machine: what it copies and what it runs. */
export async function buildStage(stage: Stage, directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  for (const instruction of stage.instructions) {
    if (instruction.keyword === "COPY") await copy(instruction, directory);
    if (instruction.keyword === "RUN") await run(instruction, directory);
  }
}

async function copy(instruction: Instruction, directory: string): Promise<void> {
  const { sources, target } = readCopy(instruction);
  for (const source of sources) {
    const into = target.endsWith("/") ? join(directory, target, basename(source)) : join(directory, target);
    await mkdir(dirname(into), { recursive: true });
    const filter = (path: string) => path === root || isSent(path.slice(root.length));
    await cp(join(root, source), into, { recursive: true, filter });
  }
}

async function run({ words }: Instruction, cwd: string): Promise<void> {
  const command = words.replace(/^(--\S+\s+)+/, "");
  const { status, stdout, stderr } = await runCommand("sh", ["-c", command], { cwd, timeoutMs: 10 * 60_000 });
  if (status !== 0) throw new Error(`RUN ${command}: ${stdout}${stderr}`);
}

export function isInContext(path: string): boolean {
  return existsSync(join(root, path));
}
