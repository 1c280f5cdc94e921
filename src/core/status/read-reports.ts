import { get, type IncomingMessage } from "node:http";
import { SystemError } from "../../system-error.ts";
import type { PluginReport, ReportChanges } from "../../xds/plugin-report.ts";

/** Discovery says something every ten seconds, if only that there is nothing to say. */
const idleMs = 30_000;
/** Of one message: twenty thousand plugins with refusals are less. */
const maxMessageBytes = 64 * 1024 * 1024;

/**
 * What a discovery's stream of reports says, message by message, until it ends.
 * @param url `http://address:15014/`
 * @throws SystemError("network" | "timeout" | "too-large")
 */
export async function* readReports(url: string, signal: AbortSignal): AsyncIterable<ReportChanges> {
  const idle = new AbortController();
  const timer = setTimeout(() => idle.abort(), idleMs);
  try {
    const answer = await open(new URL("debug/ecdsz?watch", url), AbortSignal.any([signal, idle.signal]));
    answer.on("data", () => timer.refresh());
    for await (const data of readEvents(answer)) yield parseChanges(data);
  } catch (error) {
    if (idle.signal.aborted && !signal.aborted)
      throw new SystemError("timeout", `nothing came for ${idleMs / 1000} s`);
    throw SystemError.from(error, "network", "the stream of reports failed");
  } finally {
    clearTimeout(timer);
    idle.abort();
  }
}

function open(url: URL, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const asked = get(url, { signal, agent: false }, (answer) => {
      const { statusCode, headers } = answer;
      if (statusCode === 200 && headers["content-type"] === "text/event-stream") return resolve(answer);
      answer.destroy();
      reject(
        new SystemError("network", `the answer has the status ${statusCode} and is no stream of reports`),
      );
    });
    asked.once("error", reject);
  });
}

async function* readEvents(answer: IncomingMessage): AsyncIterable<string> {
  let parts: string[] = [];
  let size = 0;
  answer.setEncoding("utf8");
  for await (const chunk of answer as AsyncIterable<string>) {
    const [head = "", ...lines] = chunk.split("\n");
    parts.push(head);
    size += head.length;
    if (size > maxMessageBytes) throw new SystemError("too-large", "a message of discovery has no end");
    for (const line of lines) {
      const whole = parts.join("");
      parts = [line];
      size = line.length;
      if (whole.startsWith("data: ")) yield whole.slice("data: ".length);
    }
  }
}

function parseChanges(data: string): ReportChanges {
  const { changed, removed } = JSON.parse(data) as Partial<ReportChanges>;
  return {
    changed: Array.isArray(changed) ? changed.filter(isReport) : [],
    removed: Array.isArray(removed) ? removed : [],
  };
}

function isReport(value: unknown): value is PluginReport {
  const { name, version, gateways, programmed, refused, refusals, modules } = (value ?? {}) as PluginReport;
  const numbers: unknown[] = [gateways, programmed, refused];
  const isKnown = typeof name === "string" && typeof version === "string";
  return isKnown && numbers.every(Number.isInteger) && Array.isArray(refusals) && typeof modules === "object";
}
