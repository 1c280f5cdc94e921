import { basename } from "node:path";
import {
  createPluginHost,
  type Direction,
  type Heartbeat,
  MemoryStream,
  type Message,
  type Outside,
  type Plugin,
  type PluginModule,
  type VmObserver,
} from "../proxy-wasm/index.ts";
import { errorText } from "../system-error.ts";
import { type CaseOutside, caseProperty, createCaseOutside } from "./case-outside.ts";
import { caseMetrics, readProperty } from "./case-state.ts";
import { headerLines, headerPairs } from "./case-text.ts";
import type { CaseOutcome, LocalOutcome, MessageOutcome } from "./outcome.ts";
import { type FilterRecord, recordFilter } from "./record-filter.ts";
import type { PluginTestCase, TestMessage } from "./test-file.ts";

/** What runs in all cases of a file. */
export interface CasePlugin {
  readonly module: PluginModule;
  readonly vmConfig: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Who watches a case: nobody, if both are left out. */
export interface CaseWatch {
  readonly heartbeat?: Heartbeat;
  readonly observer?: VmObserver;
}

/** A plugin that ticks and lets nothing pass is left alone after so many ticks. */
const maxTimers = 100;
/** What a response is an answer to where the case does not say. */
export const anyRequest: TestMessage = {
  headers: [
    [":method", "GET"],
    [":scheme", "http"],
    [":authority", "example.com"],
    [":path", "/"],
  ],
};

/** Runs one case with a plugin of its own, and says what came of it. Everything happens at once, timers and calls too. */
export function runCase(test: PluginTestCase, plugin: CasePlugin, watch: CaseWatch = {}): CaseOutcome {
  const outside = createCaseOutside(test);
  try {
    const started = startPlugin(test, plugin, watch, outside);
    outside.settle();
    return runStream(test, started, outside);
  } catch (error) {
    return { ...emptyOutcome(outside), start: "failed", failure: errorText(error) };
  }
}

/**
 * Starts the plugin of a case.
 * @throws SystemError `plugin-start`
 */
export function startPlugin(
  { properties, config }: PluginTestCase,
  { module, vmConfig, env }: CasePlugin,
  watch: CaseWatch,
  outside: Outside,
): Plugin {
  return createPluginHost(outside, watch).start({
    name: textOf(properties.plugin_name) ?? basename(module.name, ".wasm"),
    rootId: textOf(properties.plugin_root_id),
    module,
    configuration: config,
    vmConfiguration: vmConfig,
    environment: env,
  });
}

function textOf(value: string | Uint8Array | undefined): string | undefined {
  return value instanceof Uint8Array ? Buffer.from(value).toString() : value;
}

function runStream(test: PluginTestCase, plugin: Plugin, outside: CaseOutside): CaseOutcome {
  const record: FilterRecord = { actions: new Map(), headers: new Map(), local: undefined };
  const stream = new CaseStream(test, [recordFilter(plugin, record)]);
  const request = test.request ?? (test.response && anyRequest);
  let failure: string | undefined;
  try {
    if (request) exchangeMessages(stream, request, test.response, outside);
    stream.end();
    outside.settle();
    failure = plugin.status().failure;
    plugin.close();
    outside.settle();
  } catch (error) {
    failure = errorText(error);
  }
  return {
    ...emptyOutcome(outside),
    start: "ok",
    request: messageOutcome("request", stream, record),
    response: messageOutcome("response", stream, record),
    local: record.local ?? hostReply(stream),
    property: (name) => readProperty(stream.chain, name),
    failure,
  };
}

/** What the host sent itself, as for a body that is too large, or for headers that nobody could send. */
function hostReply({ details, response }: MemoryStream): LocalOutcome | undefined {
  if (details === undefined || !response) return undefined;
  const status = Number(response.headers.find(([name]) => name === ":status")?.[1]);
  const headers = headerPairs(response.headers.filter(([name]) => name !== ":status"));
  return { status, headers, body: response.body, details };
}

function emptyOutcome(outside: CaseOutside) {
  const { calls, logs, stores } = outside;
  return { calls, logs, metrics: caseMetrics(stores), property: () => undefined };
}

/** A stream that knows the case's properties. */
class CaseStream extends MemoryStream {
  private readonly test: PluginTestCase;

  constructor(test: PluginTestCase, filters: ConstructorParameters<typeof MemoryStream>[0]) {
    super(filters);
    this.test = test;
  }

  override property(path: readonly string[]): string | Uint8Array | undefined {
    return caseProperty(this.test, path);
  }
}

function exchangeMessages(
  stream: MemoryStream,
  request: TestMessage,
  response: TestMessage | undefined,
  outside: CaseOutside,
): void {
  stream.sendRequest(messageOf(request));
  bringOn(stream, "request", outside);
  if (response && stream.request?.complete) stream.sendResponse(messageOf(response));
  if (stream.chain.response.headers) bringOn(stream, "response", outside);
}

/** Brings answers, and lets time pass for as long as a message is held. */
function bringOn(stream: MemoryStream, direction: Direction, outside: CaseOutside): void {
  const isHeld = () => !stream[direction]?.complete && !stream.response?.complete && !stream.isReset;
  outside.settle();
  for (let left = maxTimers; left > 0 && isHeld() && outside.passTime(); ) left--;
}

function messageOf(message: TestMessage): Message {
  const { headers, trailers } = message;
  return {
    headers: headerLines(headers),
    body: bodyOf(message),
    ...(trailers && { trailers: headerLines(trailers) }),
  };
}

/** The pieces of a body; one that is empty is none. */
export function bodyOf({ body = [] }: TestMessage): readonly Uint8Array[] {
  return body.length === 1 && body[0]!.length === 0 ? [] : body;
}

/** A direction as the next filter has it; while the plugin holds it, or has put another in its place, as it left it. */
function messageOutcome(
  direction: Direction,
  stream: MemoryStream,
  { actions, headers }: FilterRecord,
): MessageOutcome | undefined {
  const action = actions.get(direction);
  const lines = headers.get(direction)?.lines;
  if (!action || !lines) return undefined;
  const message = stream[direction];
  const sent = message?.headers === lines ? message : undefined;
  return {
    action,
    headers: headerPairs(lines),
    body: sent?.body ?? new Uint8Array(),
    trailers: headerPairs(sent?.trailers ?? []),
  };
}
