import { createStores, type HttpAnswer, LogLevel, type Outside, type Stores } from "../proxy-wasm/index.ts";
import { bringCallAnswer, bringStreamAnswer, grpcOutcome } from "./case-grpc.ts";
import { bytesOfText, headerLines, headerPairs } from "./case-text.ts";
import type { CallOutcome, LogOutcome } from "./outcome.ts";
import type { LogLevelName, PluginTestCase, TestCall } from "./test-file.ts";

/** The world of one test case: calls are answered as it says, and nobody waits for a clock. */
export interface CaseOutside extends Outside {
  readonly calls: readonly CallOutcome[];
  readonly logs: readonly LogOutcome[];
  /** Brings all answers that are due, and those to what plugins call then. */
  settle(): void;
  /** Lets the time come to the next timer, and settles. False if nothing waits for the time. */
  passTime(): boolean;
}

interface Timer {
  readonly dueMs: number;
  readonly fire: () => void;
}

/** What a case needs besides the 1 MiB that there is at least. */
const storeBytes = 4 * 1024 * 1024;
const maxEvents = 10_000;
const maxLogs = 10_000;
const levelNames = Object.keys(LogLevel).map((name) => name.toLowerCase() as LogLevelName);

export function createCaseOutside(
  test: PluginTestCase,
  stores: Stores = createStores({ maxBytes: storeBytes }),
): CaseOutside {
  const calls: CallOutcome[] = [];
  const logs: LogOutcome[] = [];
  const answers = [...test.calls];
  const timers = new Set<Timer>();
  let due: (() => void)[] = [];
  let passedMs = 0;
  let events = 0;

  return {
    calls,
    logs,
    settle,
    passTime,
    stores,
    property: (path) => caseProperty(test, path),
    now: () => BigInt(Date.now() + passedMs) * 1_000_000n,
    monotonicNow: () => process.hrtime.bigint() + BigInt(Math.round(passedMs * 1e6)),
    setTimer(ms, fire) {
      const timer = { dueMs: passedMs + ms, fire };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    logLevel: () => LogLevel.Trace,
    log({ level, message }) {
      if (logs.length < maxLogs) logs.push({ level: levelNames[level]!, message });
    },
    httpCall(call, done) {
      calls.push({ upstream: call.upstream, headers: headerPairs(call.headers), body: call.body });
      const answer = takeAnswer(call.upstream, ({ grpc }) => !grpc);
      return later(() => done(answer && answerOf(answer)));
    },
    grpcCall(call, events) {
      const outcome = grpcOutcome(call, [call.message]);
      calls.push(outcome);
      const answer = takeAnswer(outcome.upstream, isForGrpc);
      return later(() => bringCallAnswer(answer, events));
    },
    grpcStream(method, events) {
      const sent: Uint8Array[] = [];
      const at = calls.push(grpcOutcome(method, sent)) - 1;
      const answer = takeAnswer(calls[at]!.upstream, isForGrpc);
      const cancel = later(() => bringStreamAnswer(answer, events));
      const send = (message: Uint8Array) => {
        sent.push(message);
        calls[at] = grpcOutcome(method, sent);
      };
      return { send, close: () => {}, cancel };
    },
    redisInit: () => true,
    redisCall: (_upstream, _query, done) => later(() => done(undefined)),
    resolveDns: (_name, done) => later(() => done([])),
  };

  /** The first answer of a kind that is for this upstream. */
  function takeAnswer(upstream: string, isOfKind: (answer: TestCall) => boolean): TestCall | undefined {
    const at = answers.findIndex(
      (each) => isOfKind(each) && (each.upstream === undefined || each.upstream === upstream),
    );
    const [answer] = at < 0 ? [] : answers.splice(at, 1);
    if (!answer) {
      logs.push({
        level: "warn",
        message: `a call to ${upstream} fails: the case has no answer left for it under calls`,
      });
    }
    return answer;
  }

  function later(run: () => void): () => void {
    let open = true;
    due.push(() => {
      if (open) run();
    });
    return () => {
      open = false;
    };
  }

  function settle(): void {
    while (due.length > 0) {
      const now = due;
      due = [];
      for (const run of now) {
        if (++events > maxEvents) throw new Error(`the plugin made more than ${maxEvents} calls in one case`);
        run();
      }
    }
  }

  function passTime(): boolean {
    const [next] = [...timers].sort((a, b) => a.dueMs - b.dueMs);
    if (!next) return false;
    timers.delete(next);
    passedMs = Math.max(passedMs, next.dueMs);
    next.fire();
    settle();
    return true;
  }
}

/** A property that the case gives, by its name of today or the one before Envoy 1.33. */
export function caseProperty(
  { properties }: PluginTestCase,
  path: readonly string[],
): string | Uint8Array | undefined {
  const names = [path, ...(path[0] === "xds" ? [path.slice(1)] : [])].map((parts) => parts.join("."));
  const found = names.find((name) => Object.hasOwn(properties, name));
  const value = found === undefined ? undefined : properties[found];
  return typeof value === "string" ? bytesOfText(value) : value;
}

function isForGrpc({ grpc, fails }: TestCall): boolean {
  return grpc !== undefined || fails;
}

function answerOf({ status, headers, body, trailers, fails }: TestCall): HttpAnswer | undefined {
  if (fails) return undefined;
  return {
    headers: [[":status", String(status)], ...headerLines(headers)],
    body,
    trailers: headerLines(trailers),
  };
}
