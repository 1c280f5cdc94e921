import { readFileSync } from "node:fs";

/** One header line. */
export type HeaderLine = readonly [name: string, value: string];

/** What a plugin sent in place of the upstream. */
export interface LocalReply {
  readonly status: number;
  readonly headers: HeaderLine[];
  readonly body: string;
  readonly details: string;
}

/** What the guest sees of one stream, and what it did to it. */
export interface Stream {
  maps: (HeaderLine[] | undefined)[];
  properties: Record<string, string>;
  reply?: LocalReply;
}

type Hostcalls = Record<string, (...args: number[]) => number>;

/** What this host needs of WebAssembly, for which the types of Node 20 have no declaration. */
interface WasmApi {
  readonly Module: {
    new (bytes: Uint8Array): object;
    imports(module: object): { module: string; name: string }[];
    exports(module: object): { name: string }[];
  };
  readonly Instance: new (module: object, imports: { env: Hostcalls }) => { exports: unknown };
}
const { Module, Instance } = (globalThis as unknown as { WebAssembly: WasmApi }).WebAssembly;

const Ok = 0;
const NotFound = 1;

/** The smallest host that runs a module of this library: one plugin, one stream at a time, no bodies. */
export class Host {
  readonly logs: string[] = [];
  readonly asked: string[] = [];
  readonly imports: { module: string; name: string }[];
  readonly exports: string[];
  logLevel = 2;
  stream: Stream = { maps: [], properties: {} };
  private config = Buffer.alloc(0);
  private nextId = 2;
  private readonly guest: Hostcalls;
  private readonly memory: { readonly buffer: ArrayBuffer };

  constructor(file: string) {
    const module = new Module(readFileSync(file));
    this.imports = Module.imports(module);
    this.exports = Module.exports(module).map((item) => item.name);
    const hostcalls = this.hostcalls();
    const env = Object.fromEntries(this.imports.map(({ name }) => [name, hostcalls[name] ?? (() => Ok)]));
    const { exports } = new Instance(module, { env });
    this.guest = exports as Hostcalls;
    this.memory = (exports as { memory: { readonly buffer: ArrayBuffer } }).memory;
    this.guest._initialize?.();
  }

  get memorySize(): number {
    return this.memory.buffer.byteLength;
  }

  /** Starts the plugin; undefined is what a proxy sends when there is no configuration. */
  start(config: unknown): boolean {
    return this.startText(config === undefined ? "" : JSON.stringify(config));
  }

  startText(config: string | Buffer): boolean {
    this.config = Buffer.from(config as string);
    this.call("proxy_on_context_create", 1, 0);
    return (
      this.call("proxy_on_vm_start", 1, 0) === 1 &&
      this.call("proxy_on_configure", 1, this.config.length) === 1
    );
  }

  /** Begins a stream and runs its request headers; returns the stream's id and the plugin's action. */
  request(headers: HeaderLine[], properties: Record<string, string> = {}): { id: number; action: number } {
    const id = this.nextId++;
    this.stream = { maps: [headers], properties };
    this.call("proxy_on_context_create", id, 1);
    return { id, action: this.call("proxy_on_request_headers", id, headers.length, 1) };
  }

  response(id: number, headers: HeaderLine[]): number {
    this.stream.maps[2] = headers;
    return this.call("proxy_on_response_headers", id, headers.length, 1);
  }

  end(id: number): void {
    this.call("proxy_on_done", id);
    this.call("proxy_on_log", id);
    this.call("proxy_on_delete", id);
  }

  private call(name: string, ...args: number[]): number {
    return this.guest[name]?.(...args) ?? 0;
  }

  private read(at: number, size: number): string {
    return Buffer.from(this.memory.buffer, at >>> 0, size >>> 0).toString();
  }

  private number(at: number, value: number): number {
    new DataView(this.memory.buffer).setUint32(at >>> 0, value, true);
    return Ok;
  }

  private give(value: Uint8Array, addressAt: number, sizeAt: number): number {
    const address = value.length === 0 ? 0 : this.call("malloc", value.length) >>> 0;
    new Uint8Array(this.memory.buffer, address, value.length).set(value);
    this.number(addressAt, address);
    return this.number(sizeAt, value.length);
  }

  private hostcalls(): Hostcalls {
    return {
      proxy_log: (_level, at, size) => {
        this.logs.push(this.read(at!, size!));
        return Ok;
      },
      proxy_get_log_level: (at) => this.number(at!, this.logLevel),
      proxy_get_current_time_nanoseconds: (at) => {
        new DataView(this.memory.buffer).setBigUint64(at!, BigInt(Date.now()) * 1_000_000n, true);
        return Ok;
      },
      proxy_get_buffer_bytes: (type, _start, _max, address, size) =>
        type === 7 ? this.give(this.config, address!, size!) : NotFound,
      proxy_get_shared_data: () => NotFound,
      proxy_get_property: (path, pathSize, address, size) => {
        const name = this.read(path!, pathSize!).replaceAll("\0", ".");
        this.asked.push(name);
        const value = this.stream.properties[name];
        return value === undefined ? NotFound : this.give(Buffer.from(value), address!, size!);
      },
      proxy_get_header_map_pairs: (map, address, size) =>
        this.give(encodePairs(this.stream.maps[map!] ?? []), address!, size!),
      proxy_set_header_map_pairs: (map, at, size) => {
        this.stream.maps[map!] = decodePairs(Buffer.from(this.memory.buffer, at, size));
        return Ok;
      },
      proxy_get_header_map_value: (map, key, keySize, address, size) => {
        const name = this.read(key!, keySize!).toLowerCase();
        const found = this.stream.maps[map!]?.find((line) => line[0].toLowerCase() === name);
        return found ? this.give(Buffer.from(found[1]), address!, size!) : NotFound;
      },
      proxy_add_header_map_value: (map, key, keySize, at, size) => {
        this.stream.maps[map!]?.push([this.read(key!, keySize!).toLowerCase(), this.read(at!, size!)]);
        return Ok;
      },
      proxy_replace_header_map_value: (map, key, keySize, at, size) =>
        this.replace(map!, this.read(key!, keySize!).toLowerCase(), this.read(at!, size!)),
      proxy_remove_header_map_value: (map, key, keySize) =>
        this.replace(map!, this.read(key!, keySize!).toLowerCase(), undefined),
      proxy_send_local_response: (status, details, detailsSize, body, bodySize, headers, headersSize) => {
        this.stream.reply = {
          status: status!,
          details: this.read(details!, detailsSize!),
          body: this.read(body!, bodySize!),
          headers: decodePairs(Buffer.from(this.memory.buffer, headers, headersSize)),
        };
        return Ok;
      },
    };
  }

  private replace(map: number, name: string, value: string | undefined): number {
    const lines = this.stream.maps[map] ?? [];
    const at = lines.findIndex((line) => line[0] === name);
    const kept = lines.filter((line) => line[0] !== name);
    if (value !== undefined) kept.splice(at < 0 ? kept.length : at, 0, [name, value]);
    this.stream.maps[map] = kept;
    return Ok;
  }
}

function encodePairs(lines: readonly HeaderLine[]): Buffer {
  const texts = lines.flat().map((text) => Buffer.from(text));
  const head = Buffer.alloc(4 + 4 * texts.length);
  head.writeUInt32LE(lines.length, 0);
  texts.forEach((text, i) => {
    head.writeUInt32LE(text.length, 4 + 4 * i);
  });
  return Buffer.concat([head, ...texts.flatMap((text) => [text, Buffer.alloc(1)])]);
}

function decodePairs(bytes: Buffer): HeaderLine[] {
  const count = bytes.length === 0 ? 0 : bytes.readUInt32LE(0);
  let at = 4 + 8 * count;
  const next = (i: number) => {
    const size = bytes.readUInt32LE(4 + 4 * i);
    at += size + 1;
    return bytes.toString("utf8", at - size - 1, at - 1);
  };
  return Array.from({ length: count }, (_, i) => [next(2 * i), next(2 * i + 1)] as const);
}
