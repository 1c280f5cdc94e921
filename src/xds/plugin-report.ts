/** What one discovery knows of a plugin: how many of its gateways run it, and what the others say. */
export interface PluginReport {
  /** As filters are named, `namespace.name`. */
  readonly name: string;
  /** The `metadata.version` under which core served the plugin. */
  readonly version: string;
  /** Connected gateways with listeners that it applies to. */
  readonly gateways: number;
  /** Gateways that acknowledged this version of the plugin itself. */
  readonly programmed: number;
  /** Gateways that refused it. */
  readonly refused: number;
  /** What some of those said. */
  readonly refusals: readonly Refusal[];
  /** With which modules gateways run it, by digest the number of gateways. */
  readonly modules: Readonly<Record<string, number>>;
}

export interface Refusal {
  /** The id of the gateway's node. */
  readonly gateway: string;
  readonly reason: string;
  /** Whether the gateway had the module, so that it was refused for something else. */
  readonly hasModule: boolean;
}

/** One message of a discovery's stream of reports: what changed since the one before; the first says everything. */
export interface ReportChanges {
  readonly changed: readonly PluginReport[];
  /** Plugins that no gateway is to run any more. */
  readonly removed: readonly string[];
}

/** How many refusals of a plugin are told word by word, and how many characters of each. */
export const maxRefusals = 3;
export const maxReasonLength = 1000;

/** The refusals that are told: the same ones in the same order, in whatever order gateways have come. */
export function firstRefusals(refusals: readonly Refusal[]): readonly Refusal[] {
  return [...refusals].sort((a, b) => (a.gateway < b.gateway ? -1 : 1)).slice(0, maxRefusals);
}
