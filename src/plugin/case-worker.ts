import { once } from "node:events";
import { parentPort, workerData } from "node:worker_threads";
import { attachHeartbeat, type SharedHeartbeat } from "../proxy-wasm/heartbeat.ts";
import { compileModule, type PluginModule } from "../proxy-wasm/module.ts";
import { errorText, SystemError } from "../system-error.ts";
import { benchCase } from "./bench-case.ts";
import { createReachObserver } from "./coverage.ts";
import type { CaseJob, CaseMessage, CaseRun, NamedModule } from "./job.ts";
import { testCase } from "./test-case.ts";
import { traceCase } from "./trace-case.ts";

// The thread in which `runCases` runs cases. One that was started before there was anything to run gets its job later.

const post = (message: CaseMessage) => parentPort!.postMessage(message);

/** A module that is compiled, with what cases have called in it. */
interface Loaded {
  readonly module: PluginModule;
  readonly reached: Set<string>;
}

async function runJob({ task, runs, first, heartbeat: memory }: CaseJob): Promise<void> {
  const heartbeat = attachHeartbeat(memory);
  const modules = new Map<Uint8Array, Loaded>();
  for (let index = first; index < runs.length; index++) {
    const run = runs[index]!;
    const loaded = modules.get(run.module.bytes) ?? (await load(run.module));
    modules.set(run.module.bytes, loaded);
    const result = doTask(task, run, loaded, heartbeat, (part) => post({ index, part }));
    post({ index, result });
  }
}

async function load({ bytes, name }: NamedModule): Promise<Loaded> {
  return { module: await compileModule(bytes, { name }), reached: new Set() };
}

function doTask(
  task: CaseJob["task"],
  { test, vmConfig, env }: CaseRun,
  { module, reached }: Loaded,
  heartbeat: SharedHeartbeat,
  onPart: (part: unknown) => void,
): unknown {
  const plugin = { module, vmConfig, env };
  if (task.kind === "trace") return traceCase(test, plugin, heartbeat, onPart);
  if (task.kind === "bench") return benchCase(test, plugin, heartbeat, task);
  return testCase(test, plugin, { heartbeat, observer: createReachObserver(reached, onPart) });
}

const job = (workerData as CaseJob | null) ?? ((await once(parentPort!, "message")) as [CaseJob])[0];
await runJob(job).catch((error: unknown) => {
  if (!(error instanceof SystemError)) throw error;
  post({ code: error.code, message: errorText(error) });
});
