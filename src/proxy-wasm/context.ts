import { type BufferType, type MapType, Status, StreamType } from "./abi.ts";
import type { GuestBuffer } from "./body.ts";
import type { HeaderLine, HeaderMap } from "./header-map.ts";
import type { PluginContext } from "./plugin-context.ts";
import type { PropertyValue } from "./property-values.ts";
import type { Vm } from "./vm.ts";

/** What a plugin sends in place of the upstream. */
export interface LocalResponse {
  readonly status: number;
  readonly headers: readonly HeaderLine[];
  readonly body: Uint8Array;
  /** Undefined: from the HTTP status. */
  readonly grpcStatus: number | undefined;
  /** For the access log. */
  readonly details: string;
  /** It is the same for gRPC, of which it has no status. */
  readonly isPlain?: boolean;
}

/** What has an id in the guest: a plugin, or one of its streams. What a kind of context does not have is refused as Envoy does. */
export abstract class Context {
  readonly vm: Vm;
  readonly id: number;

  constructor(vm: Vm) {
    this.vm = vm;
    this.id = vm.contexts.add(this);
  }

  abstract readonly root: PluginContext;

  /** The Vm has failed: nothing comes of this context any more. */
  abstract onVmFailure(): void;

  /** A map for reading; undefined where the phase has none. */
  readableMap(type: MapType): HeaderMap | undefined {
    return this.root.callMap(type);
  }

  /** A map for writing; undefined where the phase has none. */
  writableMap(_type: MapType): HeaderMap | undefined {
    return undefined;
  }

  /** What an access to a map that the phase does not have is answered with. */
  get missingMapStatus(): Status {
    return Status.BadArgument;
  }

  /** After a change to a map by the guest. */
  onMapChange(_type: MapType): void {}

  buffer(type: BufferType): GuestBuffer | undefined {
    return this.root.callBuffer(type);
  }

  property(path: readonly string[]): PropertyValue | undefined {
    return this.root.ownProperty(path);
  }

  setProperty(_path: string, _value: Uint8Array): Status {
    return Status.NotFound;
  }

  /** State that other filters may read too, under a name of its own. */
  setFilterState(_name: string, _value: Uint8Array): Status {
    return Status.NotFound;
  }

  continueStream(type: StreamType): Status {
    return type === StreamType.Upstream ? Status.Unimplemented : Status.Ok;
  }

  closeStream(_type: StreamType): Status {
    return Status.Ok;
  }

  sendLocalResponse(_response: LocalResponse): Status {
    return Status.Ok;
  }

  clearRouteCache(): Status {
    return Status.Ok;
  }

  injectResponseBody(_bytes: Uint8Array, _endOfStream: boolean): Status {
    return Status.BadArgument;
  }

  upstreamHosts(): readonly HeaderLine[] | undefined {
    return undefined;
  }

  overrideUpstreamHost(_address: string): boolean {
    return false;
  }
}
