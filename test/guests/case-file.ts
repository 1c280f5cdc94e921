import { readFile } from "node:fs/promises";
import { load } from "js-yaml";

/** A header line. */
export type Line = readonly [string, string];

/** Bytes of a body: text, a text many times, or hexadecimal digits. */
export type Bytes = string | { readonly text: string; readonly times: number } | { readonly hex: string };

/** What one side sends: headers, then the body in one piece or several, then trailers. */
export interface Message {
  readonly headers: readonly Line[];
  /** A list is sent chunk by chunk, so that a filter sees each by itself; the last one ends the stream unless trailers do. */
  readonly body?: Bytes | readonly Bytes[];
  readonly trailers?: readonly Line[];
  /** The end comes after the last chunk, alone. */
  readonly endAlone?: boolean;
}

export interface RequestMessage extends Message {
  /** The client gives up once a line of the guest has this text. */
  readonly cancelAt?: string;
}

export interface ResponseMessage extends Message {
  /** The upstream answers when it has the headers, and not at the end of the request. */
  readonly early?: boolean;
  /** The upstream cuts the connection in place of the end. */
  readonly reset?: boolean;
}

/** What answers a call that the guest makes. */
export interface CallAnswer {
  readonly upstream: string;
  readonly status?: number;
  readonly headers?: readonly Line[];
  readonly body?: Bytes;
  readonly trailers?: readonly Line[];
  /** Never answers. */
  readonly hang?: boolean;
  /** Cuts the stream in place of an answer. */
  readonly reset?: boolean;
  /** Nobody listens at the upstream's port. */
  readonly refuse?: boolean;
  /** gRPC: the messages, each answered at once, then the status. */
  readonly messages?: readonly Bytes[];
  readonly grpcStatus?: number;
  readonly grpcMessage?: string;
}

export interface LogExpectation {
  readonly level?: string;
  readonly contains: string;
}

/** What must hold; only what is written is compared. */
export interface Expectation {
  readonly start?: "ok" | "failed";
  readonly request?: MessageExpectation;
  readonly response?: MessageExpectation;
  readonly local?: {
    readonly status?: number;
    readonly headers?: readonly Line[];
    readonly hasHeaders?: readonly Line[];
    readonly body?: string;
    readonly details?: string;
  };
  readonly calls?: readonly {
    readonly upstream?: string;
    readonly headers?: readonly Line[];
    readonly hasHeaders?: readonly Line[];
    readonly body?: string;
  }[];
  /** In this order, with other lines between them. */
  readonly logs?: readonly LogExpectation[];
  /** All lines of the guest, in order: the texts alone. */
  readonly allLogs?: readonly string[];
  readonly noLogs?: readonly string[];
  readonly metrics?: Readonly<Record<string, number>>;
  /** The end of the stream as the proxy names it. */
  readonly details?: string;
}

export interface MessageExpectation {
  /** `continue`: it went on; `pause`: it did not. */
  readonly action?: "continue" | "pause";
  readonly headers?: readonly Line[];
  readonly hasHeaders?: readonly Line[];
  readonly lacksHeaders?: readonly string[];
  readonly body?: string;
  readonly trailers?: readonly Line[];
}

/** One stream through the plugin. */
export interface StreamCase {
  /** Sent again and again until the proxy does not answer by itself; the last of it counts. */
  readonly untilServed?: boolean;
  readonly request?: RequestMessage;
  /** Left out: status 200 and nothing else. */
  readonly response?: ResponseMessage;
  readonly expect?: Expectation;
}

export interface Case extends StreamCase {
  readonly name: string;
  /** In place of the file's module. */
  readonly module?: string;
  /** A text is given as it is, anything else as JSON; left out, the file's. */
  readonly config?: unknown;
  readonly vmConfig?: unknown;
  readonly env?: Readonly<Record<string, string>>;
  readonly rootId?: string;
  readonly failure?: "closed" | "open" | "reload";
  /** Envoy's option for paused headers: body callbacks run meanwhile. */
  readonly allowOnHeadersStopIteration?: boolean;
  /** Stream properties that something before the plugin has set. */
  readonly properties?: Readonly<Record<string, string>>;
  readonly calls?: readonly CallAnswer[];
  /** Further streams, one after the other, to the same VM. */
  readonly then?: readonly StreamCase[];
  /** The case is over only when a line of the guest has this text. */
  readonly until?: string;
  /** As `until`, after the plugin was taken away; the result has the lines of its end. */
  readonly untilEnd?: string;
  /** The VM's id; left out, one that no other case has. */
  readonly vmId?: string;
}

/** A guest and its cases, as a plugin test file. */
export interface CaseFile {
  readonly file: string;
  /** Path of the module below the repository's root. */
  readonly module: string;
  readonly config?: unknown;
  /** All cases in one VM, for guests that take seconds to compile. */
  readonly sharedVm?: boolean;
  readonly cases: readonly Case[];
}

/** Reads a file of cases. */
export async function readCaseFile(file: string): Promise<CaseFile> {
  const content = load(await readFile(file, "utf8")) as Omit<CaseFile, "file">;
  if (typeof content?.module !== "string" || !Array.isArray(content.cases))
    throw new Error(`${file}: expected module and cases`);
  return { ...content, file };
}

const plainHeaders: readonly Line[] = [
  [":method", "GET"],
  [":scheme", "http"],
  [":authority", "foo.com"],
  [":path", "/"],
];

/** The request of a stream, with the line that every Envoy adds before plugins see it. */
export function requestOf({ request }: StreamCase): RequestMessage {
  const { headers } = request ?? { headers: plainHeaders };
  const forwarded = headers.some(([name]) => name === "x-forwarded-proto");
  return { ...request, headers: forwarded ? headers : [...headers, ["x-forwarded-proto", "http"]] };
}

/** A configuration as the proxy hands it to the guest. */
export function configText(config: unknown): string {
  if (config === undefined) return "";
  return typeof config === "string" ? config : JSON.stringify(config);
}

/** The bytes of a body or of a part of one. */
export function toBuffer(bytes: Bytes): Buffer {
  if (typeof bytes === "string") return Buffer.from(bytes);
  return "hex" in bytes ? Buffer.from(bytes.hex, "hex") : Buffer.from(bytes.text.repeat(bytes.times));
}

/** The chunks in which a body is sent. */
export function toChunks(body: Message["body"]): Buffer[] {
  if (body === undefined || body === "") return [];
  return (Array.isArray(body) ? (body as readonly Bytes[]) : [body as Bytes]).map(toBuffer);
}

/** Bytes as results show them: as text, or if they are none as `hex:` and the digits. */
export function showBytes(bytes: Buffer): string {
  const text = bytes.toString("utf8");
  return Buffer.from(text, "utf8").equals(bytes) ? text : `hex:${bytes.toString("hex")}`;
}
