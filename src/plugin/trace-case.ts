import type { Heartbeat, VmObserver } from "../proxy-wasm/index.ts";
import { errorText } from "../system-error.ts";
import {
  describeAnswer,
  describeCallback,
  describeHostCall,
  describeHostResult,
  type Parameter,
} from "./describe-call.ts";
import type { CaseOutcome } from "./outcome.ts";
import { type CasePlugin, runCase } from "./run-case.ts";
import type { PluginTestCase } from "./test-file.ts";

const maxLines = 10_000;

/** Runs a case and tells the conversation of host and guest, line by line as it goes on. */
export function traceCase(
  test: PluginTestCase,
  plugin: CasePlugin,
  heartbeat: Heartbeat | undefined,
  onLine: (line: string) => void,
): { readonly failure: string | undefined } {
  let left = maxLines;
  const write = (line: string) => {
    if (left-- > 0) onLine(line);
    else if (left === -1) onLine(`… more than ${maxLines} lines`);
  };
  const outcome = runCase(test, plugin, { heartbeat, observer: createTraceObserver(write) });
  for (const line of describeOutcome(outcome)) onLine(line);
  return { failure: outcome.failure };
}

/** Writes each callback, and below it what the guest calls until it answers. */
export function createTraceObserver(write: (line: string) => void): VmObserver {
  let depth = 0;
  const line = (text: string) => write("  ".repeat(depth) + text);
  return {
    hostFunction:
      (module, name, call, memory) =>
      (...parameters) => {
        const asked = describeHostCall(module, name, parameters, memory());
        const result = told(line, asked, () => call(...parameters));
        line(`${asked} = ${describeHostResult(module, name, parameters, result, memory())}`);
        return result;
      },
    callback:
      (name, call) =>
      (...parameters) => {
        line(describeCallback(name, parameters));
        depth++;
        try {
          const result = told(line, "", () => call(...parameters));
          const answer = describeAnswer(name, result);
          if (answer !== undefined) line(`= ${answer}`);
          return result;
        } finally {
          depth--;
        }
      },
  };
}

/** Runs a function; what it throws is told before it goes on its way. */
function told(
  line: (text: string) => void,
  asked: string,
  run: () => Parameter | undefined,
): Parameter | undefined {
  try {
    return run();
  } catch (error) {
    line(`${asked && `${asked} `}! ${errorText(error)}`);
    throw error;
  }
}

function describeOutcome({ start, failure, local, request, response }: CaseOutcome): string[] {
  return [
    ...(start === "failed" ? ["the plugin did not start"] : []),
    ...(failure === undefined ? [] : [`! ${failure}`]),
    ...(local ? [`local response ${local.status} ${JSON.stringify(local.details)}`] : []),
    ...(request ? [`request: ${request.action}`] : []),
    ...(response ? [`response: ${response.action}`] : []),
  ];
}
