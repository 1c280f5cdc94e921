import type {
  FilterFactory,
  HeaderMap,
  HttpAnswer,
  Outside,
  Plugin,
  PropertyValue,
} from "../../proxy-wasm/index.ts";
import { maxRecordedBytes, type Recording, type RecordingWish } from "../../proxy-wasm/recording.ts";
import { SystemError } from "../../system-error.ts";
import type { WasmFilterConfig } from "../plugin-registry.ts";
import { pluginOptions } from "../wasm-options.ts";
import { RecordedStream } from "./recorded-stream.ts";

/** Gives what came of a wish, or why nothing came of it. */
export type OnRecorded = (result: Recording | SystemError) => void;

/** Records requests, in one thread. While nobody wants one, streams run as if there were none. */
export interface Recorder {
  readonly isArmed: boolean;
  /** Records the next request that fits. The function that it gives takes the wish back. */
  arm(wish: RecordingWish, onRecorded: OnRecorded): () => void;
  /** A stream's filters, watched if the stream may be wanted. */
  watch(filters: FilterFactory[], stream: KnownStream): FilterFactory[];
}

interface KnownStream {
  property(path: readonly string[]): PropertyValue | undefined;
}

interface Armed {
  readonly wish: RecordingWish;
  readonly onRecorded: OnRecorded;
}

export function createRecorder(
  outside: Outside,
  configs: () => Iterable<readonly [WasmFilterConfig, Plugin | undefined]>,
): { readonly outside: Outside; readonly recorder: Recorder } {
  const armed = new Set<Armed>();
  let current: RecordedStream | undefined;
  return {
    outside: {
      ...outside,
      property(path) {
        const value = outside.property?.(path);
        current?.noteProperty(path, value);
        return value;
      },
      httpCall(call, done) {
        const stream = current;
        if (!stream) return outside.httpCall(call, done);
        const answered = stream.called(call);
        return outside.httpCall(call, (answer: HttpAnswer | undefined) => {
          during(stream, () => done(answer));
          answered(answer);
        });
      },
    },
    recorder: {
      get isArmed() {
        return armed.size > 0;
      },
      arm(wish, onRecorded) {
        const each = { wish, onRecorded };
        armed.add(each);
        return () => armed.delete(each);
      },
      watch(filters, stream) {
        let watched = filters;
        for (const each of armed) watched = watchFor(each, watched, stream);
        return watched;
      },
    },
  };

  function during<T>(stream: RecordedStream, run: () => T): T {
    const outer = current;
    current = stream;
    try {
      return run();
    } finally {
      current = outer;
    }
  }

  function watchFor(each: Armed, filters: FilterFactory[], known: KnownStream): FilterFactory[] {
    const at = filters.findIndex(
      (filter) => "name" in filter && isCalled(String(filter.name), each.wish.plugin),
    );
    if (at < 0) return filters;
    const plugin = filters[at] as Plugin;
    const stream = new RecordedStream({
      claims: (headers) => armed.has(each) && fits(each.wish, headers) && armed.delete(each),
      during,
      onEnd: (ended) => each.onRecorded(resultOf(ended, plugin)),
      property: (path) => known.property(path),
    });
    return stream.around(filters, at);
  }

  function resultOf(stream: RecordedStream, plugin: Plugin): Recording | SystemError {
    if (stream.isTooLarge) {
      const limit = `${maxRecordedBytes} bytes`;
      return new SystemError(
        "too-large",
        `the bodies of the request that came are larger than ${limit} together`,
      );
    }
    return (
      stream.result(describe(plugin)) ??
      new SystemError("not-found", "the request that came ended before the plugin had its headers")
    );
  }

  function describe(plugin: Plugin) {
    const known = [...configs()].map(([{ name, config }, running]) => ({
      running,
      options: pluginOptions(name, config.config!),
    }));
    const options = known.find(({ running }) => running === plugin)?.options;
    return {
      keys: [...new Set(known.flatMap((each) => keysIn(each.options.configuration)))],
      plugin: plugin.name,
      rootId: options?.rootId ?? "",
      config: base64Of(options?.configuration),
      vmConfig: base64Of(options?.vmConfiguration),
    };
  }
}

/** As `RunningGateway.record`, in one thread. */
export function recordOnce(recorder: Recorder, wish: RecordingWish, signal: AbortSignal): Promise<Recording> {
  return new Promise((resolve, reject) => {
    const disarm = recorder.arm(wish, (result) =>
      result instanceof SystemError ? reject(result) : resolve(result),
    );
    const end = () => {
      disarm();
      reject(new SystemError("cancelled", "no request that fits came"));
    };
    if (signal.aborted) end();
    else signal.addEventListener("abort", end, { once: true });
  });
}

/** Whether a plugin's name is the given one, or ends with it behind a dot. */
export function isCalled(name: string, wanted: string): boolean {
  return name === wanted || name.endsWith(`.${wanted}`);
}

/** What a configuration like key-auth's lists under `keys`. */
function keysIn(configuration: string | Uint8Array = ""): string[] {
  const found: string[] = [];
  try {
    JSON.parse(Buffer.from(configuration as Uint8Array).toString(), (name, value: unknown) => {
      if (name === "keys" && Array.isArray(value)) found.push(...value.map(String));
      return value;
    });
  } catch {
    // What is no JSON lists nothing.
  }
  return found;
}

function base64Of(value: string | Uint8Array = ""): string {
  return Buffer.from(value as Uint8Array).toString("base64");
}

function fits({ host, path, method, headers }: RecordingWish, request: HeaderMap): boolean {
  const authority = request.get(":authority")?.toLowerCase().replace(/:\d+$/, "");
  return (
    (host === undefined || authority === host.toLowerCase()) &&
    (path === undefined || request.get(":path")?.startsWith(path) === true) &&
    (method === undefined || request.get(":method") === method) &&
    headers.every(([name, value]) =>
      request.lines.some((line) => line[0] === name && (value === "" || line[1] === value)),
    )
  );
}
