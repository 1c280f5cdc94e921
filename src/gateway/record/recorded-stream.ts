import type {
  Direction,
  FilterCallbacks,
  FilterFactory,
  HeaderMap,
  HttpAnswer,
  HttpCall,
  HttpFilter,
  LocalResponse,
  PropertyValue,
} from "../../proxy-wasm/index.ts";
import { canonicalPath } from "../../proxy-wasm/property-names.ts";
import { encodeProperty } from "../../proxy-wasm/property-values.ts";
import {
  maxRecordedBytes,
  type RecordedCall,
  type RecordedDirection,
  type RecordedHeader,
  type RecordedMessage,
  type Recording,
} from "../../proxy-wasm/recording.ts";

/** Who makes recordings of streams. */
export interface StreamRecorder {
  /** Whether the stream's request is wanted. Asked once, with what the plugin gets. */
  claims(headers: HeaderMap): boolean;
  /** Runs callbacks of the plugin; what it calls meanwhile is this stream's. */
  during<T>(stream: RecordedStream, run: () => T): T;
  /** The stream has ended, and so have the plugin's calls. */
  onEnd(stream: RecordedStream): void;
  /** What the gateway knows of the stream. */
  property(path: readonly string[]): PropertyValue | undefined;
}

type Draft<T> = { -readonly [K in keyof T]: T[K] };

interface DraftMessage {
  headers: readonly RecordedHeader[];
  readonly body: string[];
  trailers?: readonly RecordedHeader[];
}

interface DraftCall extends Omit<RecordedCall, "answer"> {
  answer?: RecordedMessage;
}

/** A stream through a plugin, with all that the plugin got and did, if the request is one that is wanted. */
export class RecordedStream {
  private readonly recorder: StreamRecorder;
  private readonly before = new Map<Direction, DraftMessage>();
  private readonly behind = new Map<Direction, DraftMessage>();
  private readonly actions = new Map<Direction, RecordedDirection["action"]>();
  private readonly properties = new Map<string, string>();
  private readonly calls: DraftCall[] = [];
  /** What other plugins had set when the request came. */
  private known: ReadonlySet<string> = new Set();
  private local: Draft<NonNullable<Recording["local"]>> | undefined;
  /** The plugin has answered in the place of the upstream: the response is its own. */
  private isOwnResponse = false;
  private isWanted = false;
  private isOver = false;
  private open = 0;
  private bytes = 0;

  constructor(recorder: StreamRecorder) {
    this.recorder = recorder;
  }

  /** Of what is larger, nothing is kept. */
  get isTooLarge(): boolean {
    return this.bytes > maxRecordedBytes;
  }

  /** The same filters, with one that looks before the plugin and one that looks behind it. */
  around(filters: readonly FilterFactory[], at: number): FilterFactory[] {
    const [before, behind] = [filters.slice(0, at), filters.slice(at + 1)];
    return [...before, this.look(true), this.watch(filters[at]!), this.look(false), ...behind];
  }

  /** A call by the plugin while this stream ran, or when it got an answer to one. */
  called({ upstream, headers, body }: HttpCall): (answer: HttpAnswer | undefined) => void {
    const call: DraftCall = { upstream, headers: [...headers], body: this.encode(body) };
    this.calls.push(call);
    this.open++;
    return (answer) => {
      if (answer) call.answer = this.messageOf(answer);
      this.open--;
      this.finishIfOver();
    };
  }

  noteProperty(path: readonly string[], value: PropertyValue | undefined): void {
    const name = path.join(".");
    if (!this.isWanted || value === undefined || this.properties.has(name)) return;
    this.properties.set(name, this.encode(encodeProperty(value)));
  }

  result(
    plugin: Omit<Recording, "properties" | "request" | "response" | "calls" | "local">,
  ): Recording | undefined {
    const [request, response] = [this.direction("request"), this.direction("response")];
    return (
      request && {
        ...plugin,
        properties: Object.fromEntries(this.properties),
        request,
        ...(response && { response }),
        calls: this.calls,
        ...(this.local && { local: this.local }),
      }
    );
  }

  private direction(direction: Direction): RecordedDirection | undefined {
    const before = this.before.get(direction);
    const behind = this.behind.get(direction);
    const action = this.actions.get(direction) ?? "continue";
    return before && { before, ...(behind && { behind }), action };
  }

  /** A filter that lets everything pass: in front of the plugin, or behind it. Responses come from behind. */
  private look(isInFront: boolean): FilterFactory {
    const of = (direction: Direction) =>
      (direction === "request") === isInFront ? this.before : this.behind;
    return {
      createFilter: (callbacks) => ({
        onHeaders: (direction, headers) => {
          if (isInFront && direction === "request") this.begin(headers, callbacks);
          if (this.keeps(direction)) of(direction).set(direction, { headers: linesOf(headers), body: [] });
          return 0;
        },
        onData: (direction, body) => {
          if (this.keeps(direction) && body.length > 0)
            of(direction).get(direction)?.body.push(this.encode(body.bytes()));
          return 0;
        },
        onTrailers: (direction, trailers) => {
          const message = of(direction).get(direction);
          if (this.keeps(direction) && message) message.trailers = linesOf(trailers);
          return 0;
        },
      }),
    };
  }

  private begin(headers: HeaderMap, { state }: FilterCallbacks): void {
    this.isWanted = this.recorder.claims(headers);
    this.known = new Set(state.keys());
  }

  private keeps(direction: Direction): boolean {
    return this.isWanted && !this.isTooLarge && !(direction === "response" && this.isOwnResponse);
  }

  private watch(plugin: FilterFactory): FilterFactory {
    return {
      createFilter: (callbacks) => this.watchFilter(plugin.createFilter(this.watchCallbacks(callbacks))),
    };
  }

  private watchCallbacks(callbacks: FilterCallbacks): FilterCallbacks {
    const sendLocalResponse = (response: LocalResponse) => {
      this.answered(response);
      callbacks.sendLocalResponse(response);
    };
    const property: FilterCallbacks["property"] = (path, view) => {
      const value = callbacks.property(path, view);
      if (this.isGiven(path)) this.noteProperty(path, value);
      return value;
    };
    return Object.create(callbacks, {
      sendLocalResponse: { value: sendLocalResponse },
      property: { value: property },
    }) as FilterCallbacks;
  }

  /** Whether the gateway or another plugin said it. All else comes about by itself when the case runs. */
  private isGiven(path: readonly string[]): boolean {
    const { recorder } = this;
    const canonical = canonicalPath(path);
    if (recorder.property(canonical) !== undefined) return true;
    if (canonical.length > 1 && recorder.property(canonical.slice(0, -1)) !== undefined) return true;
    const isState = /^(upstream_)?filter_state$/.test(path[0]!);
    return this.known.has(isState ? path.slice(1).join(".") : `wasm.${path.join(".")}`);
  }

  private answered({ status, headers, body, details }: LocalResponse): void {
    // As Envoy: the first of several is sent, under the last one's name.
    if (this.local) this.local.details = details;
    else this.local = { status, headers: [...headers], body: this.encode(body), details };
    if (!this.before.has("response")) this.isOwnResponse = true;
  }

  private watchFilter(filter: HttpFilter): HttpFilter {
    const run = <T>(callback: () => T) => (this.isWanted ? this.recorder.during(this, callback) : callback());
    const ask = <T extends number>(direction: Direction, callback: () => T): T => {
      const action = run(callback);
      if (this.keeps(direction)) this.actions.set(direction, action === 0 ? "continue" : "pause");
      return action;
    };
    return {
      onHeaders: (direction, ...more) => ask(direction, () => filter.onHeaders(direction, ...more)),
      onData: (direction, ...more) => ask(direction, () => filter.onData(direction, ...more)),
      onTrailers: (direction, ...more) => ask(direction, () => filter.onTrailers(direction, ...more)),
      onLog: () => run(() => filter.onLog?.()),
      onDestroy: () => {
        filter.onDestroy?.();
        this.isOver = true;
        this.finishIfOver();
      },
    };
  }

  private finishIfOver(): void {
    if (this.isWanted && this.isOver && this.open === 0) this.recorder.onEnd(this);
  }

  private messageOf({ headers, body, trailers }: HttpAnswer): RecordedMessage {
    return { headers: [...headers], body: [this.encode(body)], trailers: [...trailers] };
  }

  private encode(bytes: Uint8Array): string {
    this.bytes += bytes.length;
    return this.isTooLarge ? "" : Buffer.from(bytes).toString("base64");
  }
}

function linesOf({ lines }: HeaderMap): RecordedHeader[] {
  return lines.map(([name, value]) => [name, value]);
}
