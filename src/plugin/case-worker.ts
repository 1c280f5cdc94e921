import { parentPort, workerData } from "node:worker_threads";
import { attachHeartbeat, type SharedHeartbeat } from "../proxy-wasm/heartbeat.ts";
import { compileModule, type PluginModule } from "../proxy-wasm/module.ts";
import { errorText, SystemError } from "../system-error.ts";
import { benchCase } from "./bench-case.ts";
import type { CaseJob, CaseMessage, CaseRun, NamedModule } from "./job.ts";
import { testCase } from "./test-case.ts";
import { traceCase } from "./trace-case.ts";

// The thread in which `runCases` runs cases.

const post = (message: CaseMessage) => parentPort!.postMessage(message);

async function runJob({ task, runs, first, heartbeat: memory }: CaseJob): Promise<void> {
  const heartbeat = attachHeartbeat(memory);
  const modules = new Map<Uint8Array, PluginModule>();
  for (let index = first; index < runs.length; index++) {
    const run = runs[index]!;
    const module = modules.get(run.module.bytes) ?? (await compile(run.module));
    modules.set(run.module.bytes, module);
    const result = await doTask(task, run, module, heartbeat, (part) => post({ index, part }));
    post({ index, result });
  }
}

function compile({ bytes, name }: NamedModule): Promise<PluginModule> {
  return compileModule(bytes, { name });
}

function doTask(
  task: CaseJob["task"],
  run: CaseRun,
  module: PluginModule,
  heartbeat: SharedHeartbeat,
  onPart: (part: unknown) => void,
): unknown {
  const plugin = { module, vmConfig: run.vmConfig, env: run.env };
  if (task.kind === "test") return testCase(run.test, plugin, heartbeat);
  if (task.kind === "trace") return traceCase(run.test, plugin, heartbeat, onPart);
  return benchCase(run.test, plugin, heartbeat, task);
}

await runJob(workerData as CaseJob).catch((error: unknown) => {
  if (!(error instanceof SystemError)) throw error;
  post({ code: error.code, message: errorText(error) });
});
