import type { Page } from "../../http-server.ts";
import type { RecordedHeader, RecordingWish } from "../../proxy-wasm/recording.ts";
import { SystemError, type SystemErrorCode } from "../../system-error.ts";
import type { RunningGateway } from "../gateway.ts";
import { isCalled } from "../record/recorder.ts";
import { wasmConfigs } from "../stream-plans.ts";
import type { AdminCommand } from "./admin-server.ts";

const defaultSeconds = 60;
const maxSeconds = 3600;

/** Ours, and not Envoy's: answers with the next request that fits, as a plugin met it, in JSON. It holds secrets. */
export function recordCommand(gateway: RunningGateway): AdminCommand {
  return {
    path: "/record",
    help: "record the next request through a plugin (wasmline)",
    mutates: true,
    isLocal: true,
    params: [
      { name: "plugin", help: "The plugin; may be left out where there is one" },
      { name: "host", help: "Only a request to this host" },
      { name: "path", help: "Only a request whose path begins so" },
      { name: "method", help: "Only a request with this method" },
      { name: "header", help: "Only a request with this header, as name or name:value; may be repeated" },
      { name: "timeout", help: `Seconds to wait; ${defaultSeconds} unless given` },
    ],
    answer: (query, _method, gone) => record(gateway, query, gone),
  };
}

async function record(gateway: RunningGateway, query: URLSearchParams, gone: AbortSignal): Promise<Page> {
  const seconds = Number(query.get("timeout") ?? defaultSeconds);
  if (!(seconds > 0 && seconds <= maxSeconds))
    return { status: 400, body: `timeout is a number of seconds up to ${maxSeconds}\n` };
  const plugin = pluginOf(gateway, query.get("plugin") ?? "");
  if (typeof plugin !== "string") return plugin;
  const until = AbortSignal.any([gone, AbortSignal.timeout(seconds * 1000)]);
  try {
    const recording = await gateway.record(wishOf(plugin, query), until);
    return { type: "application/json", body: `${JSON.stringify(recording)}\n` };
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    const waited = error.code === "cancelled" ? ` within ${seconds} s` : "";
    return { status: statuses[error.code] ?? 500, body: `${error.message}${waited}\n` };
  }
}

const statuses: Partial<Record<SystemErrorCode, number>> = {
  cancelled: 408,
  "too-large": 413,
  "not-found": 409,
};

/** The one plugin that is meant. */
function pluginOf({ config }: RunningGateway, wanted: string): string | Page {
  const names = new Set(
    config && [...wasmConfigs(config)].map((each) => each.config.config?.name || each.name),
  );
  const found = [...names].filter((name) => wanted === "" || isCalled(name, wanted));
  if (found.length === 1) return found[0]!;
  const there = names.size === 0 ? "there is no plugin" : `there are ${[...names].sort().join(", ")}`;
  const problem =
    wanted === "" ? "which plugin?" : `${found.length === 0 ? "no" : "more than one"} plugin ${wanted}`;
  return { status: 404, body: `${problem}; ${there}\n` };
}

function wishOf(plugin: string, query: URLSearchParams): RecordingWish {
  const given = (name: string) => query.get(name) ?? undefined;
  return {
    plugin,
    ...{ host: given("host"), path: given("path"), method: given("method") },
    headers: query.getAll("header").map(headerOf),
  };
}

function headerOf(text: string): RecordedHeader {
  const at = text.indexOf(":", 1);
  const [name, value] = at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
  return [name.trim().toLowerCase(), value.trim()];
}
