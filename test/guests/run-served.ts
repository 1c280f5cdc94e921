import { setTimeout } from "node:timers/promises";
import type { StreamCase } from "./case-file.ts";
import type { StreamResult } from "./case-result.ts";

const maxMs = 20_000;

/** Runs a stream; if it asks for that, again until the proxy does not answer by itself. */
export async function runServed(
  { untilServed = false }: StreamCase,
  run: () => Promise<StreamResult>,
): Promise<StreamResult> {
  const end = performance.now() + maxMs;
  let result = await run();
  while (untilServed && result.local && performance.now() < end) {
    await setTimeout(20);
    result = await run();
  }
  return result;
}
