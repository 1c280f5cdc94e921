import { readFile } from "node:fs/promises";
import type { LocalOutcome } from "../../src/plugin/outcome.ts";
import { type FilterRecord, recordFilter } from "../../src/plugin/record-filter.ts";
import {
  compileModule,
  createLocalOutside,
  createPluginHost,
  type Direction,
  type GuestBytes,
  type HeaderLine,
  LogLevel,
  MemoryStream,
  type Plugin,
  type PluginModule,
  Status,
  type VmObserver,
} from "../../src/proxy-wasm/index.ts";
import type { WasmFunction } from "../../src/proxy-wasm/web-assembly.ts";
import { SystemError } from "../../src/system-error.ts";

export type { HeaderLine, PluginModule };

/** Compiles a module's file for `Host`. */
export async function loadModule(file: string): Promise<PluginModule> {
  return compileModule(await readFile(file), { name: file });
}

/** One stream of a plugin, with what came of it. */
export interface TestStream {
  /** Headers as the plugin left them. */
  headers(direction: Direction): readonly HeaderLine[] | undefined;
  readonly reply: LocalOutcome | undefined;
  response(headers: readonly HeaderLine[]): void;
  end(): void;
}

/** The gateway's host with one plugin, which may be started again and again, and what the plugin logged and asked. */
export class Host {
  /** What the plugin wrote; not what the host says of it. */
  readonly logs: string[] = [];
  /** The properties that the plugin asked for, with dots between their parts. */
  readonly asked: string[] = [];
  /** Whether the proxy has a property of this name; left as it is, it knows old and new ones. */
  knows: (property: string) => boolean = () => true;
  logLevel: LogLevel = LogLevel.Info;
  private readonly module: PluginModule;
  private plugin: Plugin | undefined;

  constructor(module: PluginModule) {
    this.module = module;
  }

  get memoryBytes(): number {
    return this.plugin?.status().memoryBytes ?? 0;
  }

  /** Starts the plugin in a Vm of its own; undefined is what a proxy sends when there is no configuration. False: it refused. */
  start(config: unknown): boolean {
    return this.startText(config === undefined ? "" : JSON.stringify(config));
  }

  startText(configuration: string | Buffer): boolean {
    this.plugin?.close();
    this.plugin = undefined;
    const outside = createLocalOutside({
      log: ({ message, ofHost }) => void (ofHost || this.logs.push(message)),
    });
    // No timer fires: who waits for one is tested elsewhere, and a plugin that ticks would keep the test's program running.
    const setTimer = () => () => {};
    const host = createPluginHost(
      { ...outside, setTimer, logLevel: () => this.logLevel },
      { observer: this.observer() },
    );
    try {
      this.plugin = host.start({ name: "test", module: this.module, configuration });
      return true;
    } catch (error) {
      if (error instanceof SystemError) return false;
      throw error;
    }
  }

  /** Begins a stream and brings its request headers. */
  request(headers: readonly HeaderLine[], properties: Readonly<Record<string, string>> = {}): TestStream {
    if (!this.plugin) throw new Error(`the plugin did not start: ${this.logs.join("; ")}`);
    const record: FilterRecord = { actions: new Map(), headers: new Map(), local: undefined };
    const stream = new MemoryStream([recordFilter(this.plugin, record)], { properties });
    stream.sendRequest({ headers });
    return {
      headers: (direction) => record.headers.get(direction)?.lines,
      get reply() {
        return record.local;
      },
      response: (lines) => stream.sendResponse({ headers: lines }),
      end: () => stream.end(),
    };
  }

  private observer(): VmObserver {
    return {
      hostFunction: (_module, name, call, memory) =>
        name === "proxy_get_property" ? this.askFirst(call, memory) : call,
      callback: (_name, call) => call,
    };
  }

  private askFirst(call: WasmFunction, memory: GuestBytes): WasmFunction {
    return (at, size, ...more) => {
      const path = memory()!.subarray(Number(at), Number(at) + Number(size));
      const name = Buffer.from(path).toString().replaceAll("\0", ".");
      this.asked.push(name);
      return this.knows(name) ? call(at, size, ...more) : Status.NotFound;
    };
  }
}
