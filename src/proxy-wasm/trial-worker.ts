import { parentPort, workerData } from "node:worker_threads";
import { errorText, SystemError } from "../system-error.ts";
import { attachHeartbeat } from "./heartbeat.ts";
import { createLocalOutside } from "./local-outside.ts";
import { exchange, type Outcome } from "./memory-stream.ts";
import type { LogRecord } from "./outside.ts";
import { createPluginHost } from "./plugin-host.ts";
import type { TrialAnswer, TrialInput, TrialResult } from "./trial.ts";

// The thread in which `tryPlugin` tries a plugin.

const maxLogs = 10_000;

async function runTrial(input: TrialInput): Promise<TrialResult> {
  const logs: LogRecord[] = [];
  const outside = createLocalOutside({
    log: (record) => {
      if (logs.length < maxLogs) logs.push(record);
    },
  });
  const heartbeat = attachHeartbeat(input.heartbeat);
  const host = createPluginHost(outside, { heartbeat, maxMemoryBytes: input.maxMemoryBytes });
  const module = await host.compile(input.bytes, input.plugin.name);
  const plugin = host.start({ ...input.plugin, module });
  const outcomes: Outcome[] = [];
  for (const { request, answer, properties } of input.requests ?? [])
    outcomes.push(await exchange([plugin], request, { answer: answer && (() => answer), properties }));
  return { outcomes, logs, memoryBytes: plugin.status().memoryBytes };
}

function failureOf(error: unknown): TrialAnswer {
  return { code: error instanceof SystemError ? error.code : "plugin-start", message: errorText(error) };
}

const answer = await runTrial(workerData as TrialInput).catch(failureOf);
parentPort!.postMessage(answer);
