// How long the first answer of a plugin takes after the command, on a tree that is built:
//   node --import tsx bench/first-answer.ts [RUNS]
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { gatewayFlags, gateways } from "../test/peers/gateways.ts";
import { freePortOffset } from "../test/peers/ports.ts";
import { type Program, startWasmline } from "../test/peers/program.ts";
import { get } from "../test/peers/request.ts";
import { layOutSeed } from "../test/peers/seed-system.ts";
import { until } from "../test/peers/until.ts";
import { distribution } from "./distribution.ts";

const runs = Number(process.argv[2] ?? 5);
process.chdir(fileURLToPath(new URL("..", import.meta.url)));

/** Milliseconds from the start of a program to the first answer of the chapter's plugin; it is ended then. */
async function measure(start: () => Running, port: number): Promise<number> {
  const began = performance.now();
  const program = start();
  try {
    const failed = program.ended.then(() => Promise.reject(new Error(`it ended: ${program.stderr()}`)));
    const answered = async () => (await get(port, "/", "foo.com")).status === 200;
    await Promise.race([failed, until("an answer", answered, 120_000)]);
    return performance.now() - began;
  } finally {
    await program.stop();
  }
}

type Running = Pick<Program, "ended" | "stderr" | "stop">;

async function npmStart(): Promise<number> {
  const offset = await freePortOffset();
  return measure(() => startNpm("start", "--", "--port-offset", String(offset)), 8080 + offset);
}

/** npm, in a group of its own: it does not hand signals on to what its shell runs. */
function startNpm(...args: readonly string[]): Running {
  const child = spawn("npm", args, { detached: true, stdio: ["ignore", "ignore", "pipe"] });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const ended = once(child, "close").then(([status]) => status as number | null);
  return {
    ended,
    stderr: () => stderr,
    stop(signal = "SIGTERM") {
      if (child.exitCode === null) process.kill(-child.pid!, signal);
      return ended;
    },
  };
}

async function up(gateway: (typeof gateways)[number]): Promise<number> {
  const files = await layOutSeed(gateway);
  try {
    return await measure(() => startWasmline(["up", "-f", files.dir, ...files.flags]), files.trafficPort);
  } finally {
    await files.close();
  }
}

const cases: Readonly<Record<string, () => Promise<number>>> = {
  "npm start": npmStart,
  ...Object.fromEntries(gateways.map((gateway) => [`up --gateway ${gateway}`, () => up(gateway)])),
};
for (const gateway of gateways) await gatewayFlags(gateway);
for (const [name, run] of Object.entries(cases)) {
  const took: number[] = [];
  for (let index = 0; index < runs; index++) took.push(await run());
  console.log(`${name.padEnd(22)} ${distribution(took)}`);
}
