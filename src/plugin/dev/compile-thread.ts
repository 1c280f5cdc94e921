import { Worker } from "node:worker_threads";
import { type Diagnostic, ResourceError } from "../../resource/diagnostic.ts";
import { errorText, SystemError, type SystemErrorCode } from "../../system-error.ts";
import type { CompiledPlugin } from "../compile-plugin.ts";

export interface CompileRequest {
  readonly id: number;
  readonly directory: string;
}

export type CompileAnswer =
  | { readonly id: number; readonly compiled: CompiledPlugin }
  | { readonly id: number; readonly diagnostics: readonly Diagnostic[] }
  | { readonly id: number; readonly failure: { readonly code: SystemErrorCode; readonly message: string } };

/** An AssemblyScript compiler that stays warm. */
export interface CompileThread {
  /**
   * Compiles a plugin's folder without optimization, one after the other.
   * @throws as `compileAssemblyScript`; SystemError `toolchain` when the thread ends
   */
  compile(directory: string): Promise<CompiledPlugin>;
}

interface Waiting {
  resolve(compiled: CompiledPlugin): void;
  reject(error: Error): void;
}

/** A compiler that has run this often makes room for another: Binaryen's memory does not shrink. */
const maxCompilations = 200;

/** The thread begins with the first plugin, and another one when it has ended. It ends with the signal. */
export function createCompileThread(signal: AbortSignal): CompileThread {
  let current: ReturnType<typeof start> | undefined;
  signal.addEventListener("abort", () => current?.end(), { once: true });
  return {
    compile(directory) {
      if (current?.isOver()) current = undefined;
      current ??= start();
      return current.compile(directory);
    },
  };
}

function start() {
  const worker = new Worker(new URL("./compile-worker.js", import.meta.url));
  const waiting = new Map<number, Waiting>();
  let lastId = 0;
  let isOver = false;
  let reason = "it was stopped";
  worker.on("message", (answer: CompileAnswer) => {
    settle(answer, waiting.get(answer.id));
    waiting.delete(answer.id);
    if (lastId >= maxCompilations && waiting.size === 0) end();
  });
  worker.on("error", (error) => {
    reason = errorText(error);
  });
  worker.once("exit", () => {
    isOver = true;
    const error = new SystemError("toolchain", `the thread of the AssemblyScript compiler ended: ${reason}`);
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  });
  return {
    isOver: () => isOver,
    compile(directory: string): Promise<CompiledPlugin> {
      const request: CompileRequest = { id: ++lastId, directory };
      worker.postMessage(request);
      return new Promise((resolve, reject) => waiting.set(request.id, { resolve, reject }));
    },
    end,
  };

  function end(): void {
    isOver = true;
    void worker.terminate();
  }
}

function settle(answer: CompileAnswer, waiting: Waiting | undefined): void {
  if ("compiled" in answer) waiting?.resolve(answer.compiled);
  else if ("diagnostics" in answer) waiting?.reject(new ResourceError(answer.diagnostics));
  else waiting?.reject(new SystemError(answer.failure.code, answer.failure.message));
}
