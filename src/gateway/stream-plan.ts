import type { ActiveClusters } from "./active-clusters.ts";
import type { StreamFilter } from "./filters/native-filter.ts";
import type { HttpConnection } from "./gateway-config.ts";
import type { GatewayStats } from "./gateway-stats.ts";
import type { HttpStream } from "./http-stream.ts";
import type { Recorder } from "./record/recorder.ts";
import type { RouterOptions } from "./request-policy.ts";
import type { RouteTable } from "./route-table.ts";
import type { SharedBuckets } from "./shared-buckets.ts";

/** What a stream runs by: as it was when the stream began. */
export interface StreamPlan {
  readonly http: HttpConnection;
  readonly filters: readonly StreamFilter[];
  /** Some of them know their stream. */
  readonly hasNative: boolean;
  /** Routes switch some of them on or off. */
  readonly hasSwitches: boolean;
  readonly bufferLimitBytes: number;
  readonly table: RouteTable | undefined;
  readonly router: RouterOptions;
  readonly names: StreamNames;
}

/** For a request that is none: no filter sees it. */
export function withoutFilters(plan: StreamPlan): StreamPlan {
  return { ...plan, filters: [], hasNative: false };
}

/** Where a stream came in. */
export interface StreamNames {
  readonly listener: string;
  /** Of the listener, as in names of figures. */
  readonly address: string;
  readonly filterChain: string;
}

/** What all streams of a gateway use. */
export interface StreamWorld {
  readonly clusters: ActiveClusters;
  /** Where several threads serve. */
  readonly buckets?: SharedBuckets;
  readonly stats: GatewayStats;
  readonly recorder: Recorder;
  /** After a stream's end. */
  onStreamEnd(stream: HttpStream): void;
}
