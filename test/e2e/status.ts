import { get, type Place } from "../peers/request.ts";

/** A plugin at one gateway, as discovery's `/debug/ecdsz` shows it. */
export interface EcdsStatus {
  readonly name: string;
  readonly version: string;
  readonly state: "SYNCED" | "PENDING" | "ERROR" | "MISSING";
  readonly error: string;
}

/** A plugin's module, as the agent's `/debug/modules` shows it. */
export interface ModuleStatus {
  readonly name: string;
  readonly state: string;
  readonly path: string;
  readonly error: string;
  readonly attempts: number;
  readonly adaptedFrom?: string;
  readonly adapted?: readonly string[];
  readonly lastTrap?: { readonly at: string; readonly reason: string };
}

/** The body of a page as JSON; fails on any status but 200. */
export async function getJson<T>(place: Place, path: string): Promise<T> {
  const { status, body } = await get(place, path);
  if (status !== 200) throw new Error(`${path} at ${JSON.stringify(place)} answered ${status}: ${body}`);
  return JSON.parse(body) as T;
}

/** What the only gateway of a system says of one plugin; undefined while there is no gateway or it does not ask for it. */
export async function ecdsStatus(offset: number, plugin: string): Promise<EcdsStatus | undefined> {
  const [gateway] = await getJson<{ plugins: EcdsStatus[] }[]>(15014 + offset, "/debug/ecdsz");
  return gateway?.plugins.find(({ name }) => name === `higress-system.${plugin}`);
}

/** What the agent says of one plugin's module. */
export async function moduleStatus(offset: number, plugin: string): Promise<ModuleStatus | undefined> {
  const { plugins } = await getJson<{ plugins: ModuleStatus[] }>(15020 + offset, "/debug/modules");
  return plugins.find(({ name }) => name === `higress-system.${plugin}`);
}

/** A gateway's counters and gauges whose names match `filter`, a regular expression. */
export async function envoyStats(
  adminPort: number,
  filter: string,
): Promise<Readonly<Record<string, number>>> {
  const path = `/stats?format=json&filter=${encodeURIComponent(filter)}`;
  const { stats } = await getJson<{ stats: { name?: string; value?: number | string }[] }>(adminPort, path);
  const numbers = stats.filter(({ value }) => typeof value === "number");
  return Object.fromEntries(numbers.map(({ name, value }) => [name, value as number]));
}

/** Which listeners the gateway has had: what an edit of a plugin's configuration leaves as it is. */
export async function listenerChanges(adminPort: number): Promise<Readonly<Record<string, number>>> {
  const changes = ["added", "modified", "removed", "in_place_updated"];
  const stats = await envoyStats(adminPort, `^listener_manager\\.listener_(${changes.join("|")})$`);
  if (Object.keys(stats).length !== changes.length)
    throw new Error(`the gateway does not count its listeners: ${JSON.stringify(stats)}`);
  return stats;
}
