// The package entry `wasmline/proxy-wasm`: a host for proxy-wasm plugins that knows no proxy.

export * from "./abi.ts";
export { Body, type GuestBuffer } from "./body.ts";
export type { LocalResponse } from "./context.ts";
export { FilterChain, type FilterChainOptions } from "./filter-chain.ts";
export { type HeaderLine, HeaderMap } from "./header-map.ts";
export { attachHeartbeat, createHeartbeat, type SharedHeartbeat, watchHeartbeat } from "./heartbeat.ts";
export type { FilterCallbacks, FilterFactory, HttpFilter } from "./http-filter.ts";
export { createLocalOutside, type LocalOutsideOptions } from "./local-outside.ts";
export {
  type ExchangeOptions,
  exchange,
  MemoryStream,
  type MemoryStreamOptions,
  type Message,
  type Outcome,
  type SentMessage,
} from "./memory-stream.ts";
export { type CompileOptions, compileModule, type PluginModule } from "./module.ts";
export type { GuestBytes, VmObserver } from "./observer.ts";
export type * from "./outside.ts";
export type { FailStrategy, Plugin, PluginStatus } from "./plugin.ts";
export {
  createPluginHost,
  type PluginHost,
  type PluginHostOptions,
  type PluginOptions,
} from "./plugin-host.ts";
export type { PropertyValue } from "./property-values.ts";
export * from "./recording.ts";
export { attachStores, createStores, type SharedStoresToken, type Stores } from "./stores.ts";
export type { Direction, StreamHost } from "./stream-host.ts";
export type { TcpCallbacks, TcpContext } from "./tcp-context.ts";
export {
  type Trial,
  type TrialOptions,
  type TrialRequest,
  type TrialResult,
  tryPlugin,
} from "./trial.ts";
export type { Heartbeat } from "./vm.ts";
