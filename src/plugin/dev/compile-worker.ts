import { parentPort } from "node:worker_threads";
import { ResourceError } from "../../resource/diagnostic.ts";
import { errorText, SystemError } from "../../system-error.ts";
import { compileAssemblyScript } from "../compile-assemblyscript.ts";
import type { CompileAnswer, CompileRequest } from "./compile-thread.ts";

// The thread in which AssemblyScript is compiled: gateway and tests go on meanwhile, and a compiler that is warm is fast.

const port = parentPort!;

port.on("message", async ({ id, directory }: CompileRequest) =>
  port.postMessage(await compile(id, directory)),
);

async function compile(id: number, directory: string): Promise<CompileAnswer> {
  try {
    return { id, compiled: await compileAssemblyScript(directory, { optimize: false }) };
  } catch (error) {
    if (error instanceof ResourceError) return { id, diagnostics: error.diagnostics };
    const code = error instanceof SystemError ? error.code : "toolchain";
    return { id, failure: { code, message: errorText(error) } };
  }
}
