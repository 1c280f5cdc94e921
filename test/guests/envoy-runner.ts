import { readFile, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { adaptModule } from "../../src/wasm/adapt-module.ts";
import { until } from "../peers/until.ts";
import { type Case, type CaseFile, type RequestMessage, requestOf, type StreamCase } from "./case-file.ts";
import type { CallResult, CaseResult, StreamResult } from "./case-result.ts";
import { send } from "./envoy/client.ts";
import { cluster, listener, type Run } from "./envoy/config.ts";
import { type Envoy, startEnvoy } from "./envoy/envoy.ts";
import { guestLine } from "./envoy/log-lines.ts";
import { readMetrics } from "./envoy/metrics.ts";
import { answerCall, answerWith, startUpstream, type Upstream } from "./envoy/upstreams.ts";
import { withoutProxyHeaders } from "./proxy-headers.ts";
import { runServed } from "./run-served.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Runs cases through a real Envoy, one after the other. */
export interface EnvoyRunner {
  run(file: CaseFile, test: Case): Promise<CaseResult>;
  /** All that Envoy wrote for the last case, to look into what went wrong. */
  envoyLog(): string;
  close(): Promise<void>;
}

/** What the streams of a case and the called upstreams share. */
interface Stage {
  readonly envoy: Envoy;
  readonly upstream: Upstream;
  readonly called: Map<string, Upstream>;
  /** How the upstream answers the next request. */
  response: StreamCase["response"];
  answers: NonNullable<Case["calls"]>[number][];
  /** A listener that nobody calls, for a VM that shall outlive its cases. */
  kept: readonly object[];
  keptVm: string;
}

/** Starts Envoy, the upstream that routes lead to, and what is called as it is needed. */
export async function createEnvoyRunner(): Promise<EnvoyRunner> {
  let stage = await setUp();
  let count = 0;
  return {
    async run(file, test) {
      if (stage.envoy.hasEnded()) {
        await tearDown(stage);
        stage = await setUp();
      }
      const result = await Promise.race([runCase(stage, file, test, ++count), stage.envoy.ended]);
      if (result) return result;
      throw new Error(`Envoy crashed in case ${test.name} of ${file.file}`);
    },
    envoyLog: () =>
      stage.envoy
        .log()
        .map(({ thread, text }) => `${thread} ${text}`)
        .join("\n"),
    close: () => tearDown(stage),
  };
}

async function tearDown({ envoy, upstream, called }: Stage): Promise<void> {
  await envoy.close();
  for (const each of [upstream, ...called.values()]) await each.close();
}

async function setUp(): Promise<Stage> {
  const envoy = await startEnvoy();
  const flushed = async () => {
    const written = stage.upstream.bytesWritten();
    await until("Envoy reading what the upstream sent", async () => (await rxBytes(envoy)) >= written);
  };
  const upstream = await startUpstream("upstream", () => answerWith(stage.response, flushed));
  const stage: Stage = {
    envoy,
    upstream,
    called: new Map(),
    response: undefined,
    answers: [],
    kept: [],
    keptVm: "",
  };
  return stage;
}

/** What Envoy has read from the upstream, which two clusters lead to. */
async function rxBytes(envoy: Envoy): Promise<number> {
  const read = (name: string) => counter(envoy, `cluster.${name}.upstream_cx_rx_bytes_total`);
  return (await read("upstream")) + (await read("other"));
}

/** The value of a counter or gauge; 0 if there is none yet. */
async function counter(envoy: Envoy, name: string): Promise<number> {
  const text = await envoy.adminText(
    `/stats?filter=${encodeURIComponent(`^${name.replaceAll(".", "\\.")}$`)}`,
  );
  return Number(/: (\d+)/.exec(text)?.[1] ?? 0);
}

async function runCase(stage: Stage, file: CaseFile, test: Case, count: number): Promise<CaseResult> {
  const { envoy } = stage;
  const run = await describe(file, test, count);
  await ensureClusters(stage, test);
  stage.answers = [...(test.calls ?? [])];
  await keepVm(stage, run);
  const metricsBefore = await readMetrics(envoy);
  envoy.clearLog();
  await envoy.setListeners([...stage.kept, listener(run)]);
  const port = await startedPort(envoy, run.id);
  const streams: StreamResult[] = [];
  if (port !== undefined)
    for (const each of [test, ...(test.then ?? [])])
      streams.push(await runServed(each, () => runStream(stage, run, port, each)));
  const said = () => guestLog(envoy, run, port !== undefined);
  if (test.until)
    await until(`a line with ${test.until}`, () =>
      said().some(({ message }) => message.includes(test.until!)),
    );
  const metrics = await readMetrics(envoy, metricsBefore);
  const logs = said();
  const removed = await removeListener(stage, run, test);
  return {
    start: port === undefined ? "failed" : "ok",
    streams,
    calls: takeCalls(stage, test),
    logs: test.untilEnd ? removed : logs,
    metrics,
    trapped: envoy.log().some(({ component, text }) => component === "wasm" && / failed: /.test(text)),
  };
}

async function describe(file: CaseFile, test: Case, count: number): Promise<Run> {
  const id = `case-${String(count).padStart(4, "0")}`;
  return {
    id,
    file,
    case: test,
    wasm: await forEnvoy(`${root}${test.module ?? file.module}`),
    propertySetter: `${root}build/guests/property-setter.wasm`,
    vmId: test.vmId ?? (file.sharedVm ? basename(file.file) : id),
  };
}

/** Where the cases of a file share a VM, has a plugin of its own keep that VM from one case to the next. */
async function keepVm(stage: Stage, run: Run): Promise<void> {
  const vm = run.file.sharedVm ? run.vmId : "";
  if (vm === stage.keptVm) return;
  stage.keptVm = vm;
  const keeper = { ...run, id: `keeper-${vm}`, case: { name: "keeper", config: "keeper" } };
  stage.kept = vm === "" ? [] : [listener(keeper)];
  await stage.envoy.setListeners(stage.kept);
  // A request sees to it that the plugin has started on the worker, and that its lines belong to no case.
  const port = vm === "" ? undefined : await startedPort(stage.envoy, keeper.id);
  if (port !== undefined) await runStream(stage, keeper, port, {});
}

/** The module as a stock Envoy takes it: a copy with another marker where Higress' SDK made it. */
async function forEnvoy(module: string): Promise<string> {
  const bytes = await readFile(module);
  if (!bytes.includes("proxy_abi_version_0_2_100")) return module;
  const copy = module.replace(/\.wasm$/, ".stock-wasm");
  await writeFile(copy, adaptModule(bytes, module, "stock").bytes);
  return copy;
}

/** Clusters by the names that the case calls, each with an upstream of its own; they stay for later cases. */
async function ensureClusters(stage: Stage, test: Case): Promise<void> {
  const { envoy, called, upstream } = stage;
  const known = called.size;
  for (const { upstream: name, refuse } of test.calls ?? []) {
    if (called.has(name)) continue;
    const take = () => {
      const at = stage.answers.findIndex((answer) => answer.upstream === name);
      return answerCall(at < 0 ? undefined : stage.answers.splice(at, 1)[0]);
    };
    const started = await startUpstream(name, take);
    if (refuse) await started.close();
    called.set(name, started);
  }
  if (called.size === known && known > 0) return;
  const all = [upstream, ...called.values()];
  await envoy.setClusters([
    ...all.map(({ name, port }) => cluster(name, port)),
    cluster("other", upstream.port),
  ]);
  await until("Envoy having the clusters", async () => {
    const text = await envoy.adminText("/clusters");
    return [...all.map(({ name }) => name), "other"].every((name) =>
      text.includes(`${name}::observability_name`),
    );
  });
}

interface ListenerDump {
  readonly configs?: readonly {
    readonly name: string;
    readonly active_state?: object;
    readonly error_state?: { readonly details: string };
  }[];
}

/** The port of a listener once it is there; undefined when Envoy refused it. */
async function startedPort(envoy: Envoy, id: string): Promise<number | undefined> {
  const found = await until(
    `listener ${id}`,
    async () => {
      const { configs = [] } = await envoy.admin<ListenerDump>("/config_dump?resource=dynamic_listeners");
      const state = configs.find(({ name }) => name === id);
      return state?.active_state || state?.error_state ? state : undefined;
    },
    60_000,
  );
  if (!found.active_state) return undefined;
  return until(`a port of listener ${id}`, async () => {
    const listeners = await envoy.admin<{
      listener_statuses?: { name: string; local_address: { socket_address: { port_value: number } } }[];
    }>("/listeners?format=json");
    return listeners.listener_statuses?.find(({ name }) => name === id)?.local_address.socket_address
      .port_value;
  });
}

async function runStream(stage: Stage, run: Run, port: number, test: StreamCase): Promise<StreamResult> {
  const { envoy, upstream } = stage;
  stage.response = test.response;
  upstream.take();
  const ended = accessLines(envoy, run).length;
  const request = requestOf(test);
  const flushed = async (bytes: number) => {
    const received = () => counter(envoy, `http.${run.id}.downstream_cx_rx_bytes_total`);
    await until("Envoy reading what the client sent", async () => (await received()) >= bytes);
  };
  const response = await send({ port, request, flushed, cancelled: cancelled(envoy, run, request) });
  const line = await until("the end of the stream", () => accessLines(envoy, run)[ended]);
  await until("Envoy letting go of the stream", async () => {
    return (await counter(envoy, `http.${run.id}.downstream_rq_active`)) === 0;
  });
  const [, , , details = "", , routed = "-"] = line.split(" ");
  const [arrived] = upstream.take();
  const named = new Set(test.request?.headers.map(([name]) => name));
  return {
    ...(arrived ? { request: withoutProxyHeaders(arrived, named) } : {}),
    ...(response ? { response: withoutProxyHeaders(response.received) } : {}),
    local: response !== undefined && !/^(via_upstream$|upstream_reset_after_response_started)/.test(details),
    details,
    ...(response?.cut ? { cut: true } : {}),
    ...(routed === "other" ? { rerouted: true } : {}),
  };
}

function accessLines(envoy: Envoy, run: Run): string[] {
  return envoy
    .log()
    .map(({ text }) => text)
    .filter((text) => text.startsWith(`ACCESS ${run.id} `));
}

/** Resolves when the guest has said what the request waits for; never if it waits for nothing. */
function cancelled(envoy: Envoy, run: Run, { cancelAt }: RequestMessage): Promise<void> {
  if (!cancelAt) return new Promise(() => {});
  const said = () => guestLog(envoy, run, true).some(({ message }) => message.includes(cancelAt));
  return until(`a line with ${cancelAt}`, said).then(() => {});
}

/** The guest's lines on the worker; when it did not start, those of Envoy's trial on the main thread. */
function guestLog(envoy: Envoy, run: Run, started: boolean) {
  return envoy
    .log()
    .filter(({ thread }) => (thread === envoy.mainThread) !== started)
    .map((line) => guestLine(line, [run.id, run.vmId]))
    .filter((line) => line !== undefined);
}

/** Takes the plugin away; gives its lines, with those of its end if the case waits for one. */
async function removeListener({ envoy, kept }: Stage, run: Run, { untilEnd }: Case) {
  await envoy.setListeners(kept);
  await until("the listener going", async () => {
    const { configs = [] } = await envoy.admin<ListenerDump>("/config_dump?resource=dynamic_listeners");
    return !configs.some(({ name }) => name === run.id);
  });
  const said = () => guestLog(envoy, run, true);
  if (untilEnd)
    await until(`a line with ${untilEnd}`, () => said().some(({ message }) => message.includes(untilEnd)));
  return said();
}

/** What the called upstreams saw, in the order of the case's answers. */
function takeCalls({ called }: Stage, test: Case): CallResult[] {
  const names = [...new Set((test.calls ?? []).map(({ upstream }) => upstream))];
  return names.flatMap((upstream) =>
    called
      .get(upstream)!
      .take()
      .map((each) => ({ upstream, ...withoutProxyHeaders(each) })),
  );
}
