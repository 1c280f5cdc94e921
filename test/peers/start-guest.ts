import {
  createLocalOutside,
  createPluginHost,
  type LocalOutsideOptions,
  LogLevel,
  type LogRecord,
  type Outside,
  type Plugin,
  type PluginHost,
  type PluginHostOptions,
  type PluginOptions,
} from "../../src/proxy-wasm/index.ts";
import { type GuestOptions, guestModule } from "./guest-module.ts";

/** A host for guests that are put together in the test, and what they log. */
export interface GuestHost {
  readonly host: PluginHost;
  readonly outside: Outside;
  readonly records: LogRecord[];
  /** What guests have logged so far, and not what the host says. */
  logs(): string[];
  start(guest: GuestOptions, options?: Partial<PluginOptions>): Promise<Plugin>;
}

export function createGuestHost(
  outsideOptions: LocalOutsideOptions & { readonly overrides?: Partial<Outside> } = {},
  hostOptions: PluginHostOptions = {},
): GuestHost {
  const records: LogRecord[] = [];
  const outside = {
    ...createLocalOutside({
      logLevel: LogLevel.Trace,
      log: (record) => records.push(record),
      ...outsideOptions,
    }),
    ...outsideOptions.overrides,
  };
  const host = createPluginHost(outside, hostOptions);
  return {
    host,
    outside,
    records,
    logs: () => records.filter(({ ofHost }) => !ofHost).map(({ message }) => message),
    async start(guest, options = {}) {
      const module = await host.compile(guestModule(guest), options.name ?? "guest");
      return host.start({ name: "guest", module, ...options });
    },
  };
}
