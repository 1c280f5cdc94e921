import type { SystemErrorCode } from "../system-error.ts";
import type { PluginTestCase } from "./test-file.ts";

/** A module with the name that messages and reports give it. */
export interface NamedModule {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** A case with all that it runs with. */
export interface CaseRun {
  readonly file: string;
  readonly module: NamedModule;
  readonly vmConfig: string;
  readonly env: Readonly<Record<string, string>>;
  readonly test: PluginTestCase;
}

/** What is done with each case. */
export type CaseTask =
  | { readonly kind: "test" }
  | { readonly kind: "trace" }
  | { readonly kind: "bench"; readonly streams: number; readonly rounds: number };

/** What the thread gets in which cases run. It may be sent to a worker as it is. */
export interface CaseJob {
  readonly task: CaseTask;
  readonly runs: readonly CaseRun[];
  /** The case to begin with. */
  readonly first: number;
  readonly heartbeat: SharedArrayBuffer;
}

/** What the thread says of a case: parts while it runs, then one result. */
export type CaseMessage =
  | { readonly index: number; readonly part: unknown }
  | { readonly index: number; readonly result: unknown }
  | { readonly code: SystemErrorCode; readonly message: string };
