import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import {
  createLocalOutside,
  createPluginHost,
  type LogRecord,
  MetricKind,
  type Outside,
  type Plugin,
  type PluginHost,
} from "../../src/proxy-wasm/index.ts";
import { until } from "../peers/until.ts";
import { type Case, type CaseFile, configText } from "./case-file.ts";
import type { CaseResult, LogResult, StreamResult } from "./case-result.ts";
import { type CalledUpstreams, createCalledUpstreams } from "./host/calls.ts";
import { nodeProperty } from "./host/properties.ts";
import { runStream } from "./host/stream.ts";
import { runServed } from "./run-served.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Runs cases through our host, one after the other, as `createEnvoyRunner` does through Envoy. */
export interface HostRunner {
  run(file: CaseFile, test: Case): Promise<CaseResult>;
  close(): void;
}

/** What the cases share. */
interface Stage {
  readonly host: PluginHost;
  readonly outside: Outside;
  readonly called: CalledUpstreams;
  records: LogRecord[];
  /** A plugin without streams, for a Vm that shall outlive its cases. */
  kept: Plugin | undefined;
  keptVm: string;
}

/** `called`: what guests call; upstreams that are played, if it is left out. */
export function createHostRunner(called: CalledUpstreams = createCalledUpstreams()): HostRunner {
  const local = createLocalOutside({ logLevel: 0, log: (record) => void stage.records.push(record) });
  // What a case leaves behind, as a plugin that holds up its end, ends with the runner.
  const timers = new Set<NodeJS.Timeout>();
  const setTimer = (ms: number, fire: () => void) => {
    const timer = setTimeout(fire, ms);
    timers.add(timer);
    return () => {
      timers.delete(timer);
      clearTimeout(timer);
    };
  };
  const outside: Outside = { ...local, ...called.outside, setTimer, property: nodeProperty };
  const stage: Stage = {
    host: createPluginHost(outside),
    outside,
    called,
    records: [],
    kept: undefined,
    keptVm: "",
  };
  let count = 0;
  return {
    run: (file, test) => runCase(stage, file, test, `case-${String(++count).padStart(4, "0")}`),
    close() {
      stage.kept?.close();
      for (const timer of timers) clearTimeout(timer);
    },
  };
}

async function runCase(stage: Stage, file: CaseFile, test: Case, id: string): Promise<CaseResult> {
  const { called } = stage;
  await called.begin(test.calls ?? []);
  await keepVm(stage, file);
  const metricsBefore = readMetrics(stage);
  stage.records = [];
  const setter = test.properties ? [await startPropertySetter(stage, test.properties)] : [];
  const { plugin, error } = await start(stage, file, test, id);
  const said = () => guestLines(stage, id, plugin !== undefined);
  const hasSaid = (text: string) => said().some(({ message }) => message.includes(text));
  const heard = (text: string) => until(`a line with ${text}`, () => hasSaid(text));
  const streams: StreamResult[] = [];
  if (plugin)
    for (const each of [test, ...(test.then ?? [])])
      streams.push(await runServed(each, () => runStream([...setter, plugin], each, hasSaid)));
  if (test.until) await heard(test.until);
  const metrics = readMetrics(stage, metricsBefore);
  const logs = said();
  for (const each of [plugin, ...setter]) each?.close();
  if (test.untilEnd) await heard(test.untilEnd);
  return {
    start: plugin ? "ok" : "failed",
    streams,
    calls: await called.take(),
    logs: test.untilEnd ? said() : logs,
    metrics,
    trapped: / trapped in | does not start: /.test(error ?? "") || stage.records.some(({ ofHost }) => ofHost),
  };
}

/** Starts the plugin of a case; the error says why it does not start. */
async function start(stage: Stage, file: CaseFile, test: Case, id: string) {
  const config = test.config === undefined ? file.config : test.config;
  try {
    const plugin = stage.host.start({
      name: id,
      module: await compile(stage, test.module ?? file.module),
      configuration: configText(config),
      vmConfiguration: configText(test.vmConfig),
      rootId: test.rootId,
      vmId: test.vmId ?? (file.sharedVm ? vmIdOf(file) : id),
      environment: test.env,
      failStrategy: ({ closed: "close", open: "open", reload: "reload" } as const)[test.failure ?? "closed"],
      allowOnHeadersStopIteration: test.allowOnHeadersStopIteration,
    });
    return { plugin };
  } catch (error) {
    return { error: String(error) };
  }
}

const vmIdOf = ({ file }: CaseFile) => basename(file);

async function compile({ host }: Stage, module: string) {
  return host.compile(await readFile(`${root}${module}`), module);
}

async function startPropertySetter(stage: Stage, properties: object): Promise<Plugin> {
  const module = await compile(stage, "build/guests/property-setter.wasm");
  return stage.host.start({ name: "property-setter", module, configuration: JSON.stringify(properties) });
}

/** Where the cases of a file share a VM, has a plugin of its own keep that VM from one case to the next. */
async function keepVm(stage: Stage, file: CaseFile): Promise<void> {
  const vm = file.sharedVm ? vmIdOf(file) : "";
  if (vm === stage.keptVm) return;
  stage.keptVm = vm;
  stage.kept?.close();
  stage.kept = undefined;
  if (vm === "") return;
  const { plugin, error } = await start(stage, file, { name: "keeper", config: "keeper" }, `keeper-${vm}`);
  if (!plugin) throw new Error(error);
  stage.kept = plugin;
  await runStream([plugin], {}, () => false);
}

const levels = ["trace", "debug", "info", "warn", "error", "critical"] as const;

/** What the guest of a case wrote; not what it wrote when it was only tried, unless it did not get further. */
function guestLines({ records }: Stage, id: string, started: boolean): LogResult[] {
  return records
    .filter(({ plugin, ofHost, ofCanary }) => plugin === id && !ofHost && !(started && ofCanary))
    .map(({ level, message }) => ({ level: levels[level], message }));
}

/** Counters and gauges by name; with an earlier reading, those that changed since. */
function readMetrics({ outside }: Stage, before: Readonly<Record<string, number>> = {}) {
  const values = outside.stores.metrics
    .snapshot()
    .flatMap((each) =>
      each.kind === MetricKind.Histogram ? [] : [[each.name, Number(each.value)] as const],
    );
  return Object.fromEntries(values.filter(([name, value]) => before[name] !== value));
}
