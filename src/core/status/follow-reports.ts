import { lookup } from "node:dns/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { Log } from "../../log.ts";
import { errorText } from "../../system-error.ts";
import { createWatchable, type Watchable } from "../../watchable.ts";
import { backoffMs } from "../../xds/client.ts";
import { readReports } from "./read-reports.ts";
import { createReportTable, type KnownReports, notFollowing, type ReportTable } from "./report-table.ts";

export interface FollowReportsOptions {
  /** Discoveries' HTTP, as `http://host:15014`. A name of several addresses is all of them. */
  readonly targets: readonly string[];
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** How often names are looked up anew. */
const lookupMs = 5000;
/** What a discovery said counts for so long after its stream broke: it may be back, or its gateways elsewhere, by then. */
const graceMs = 5000;
const maxAddresses = 100;

/**
 * Follows what discoveries say of plugins, all of them: a gateway may be connected to any. The first value comes when
 * each has answered or failed once.
 */
export function followReports({ targets, log, signal }: FollowReportsOptions): Watchable<KnownReports> {
  const known = createWatchable<KnownReports>();
  if (targets.length === 0) {
    known.set(notFollowing);
    return known;
  }
  const table = createReportTable();
  const followed = new Map<string, AbortController>();
  /** What has neither answered nor failed yet. */
  const awaited = new Set<string>(targets);

  function settle(what: string): void {
    awaited.delete(what);
    if (awaited.size === 0 && !signal.aborted) known.set(table.known());
  }

  function follow(url: string): void {
    const end = new AbortController();
    followed.set(url, end);
    awaited.add(url);
    void followOne({
      url,
      table,
      onChange: () => settle(url),
      log,
      signal: AbortSignal.any([signal, end.signal]),
    });
  }

  async function lookUpAll(): Promise<void> {
    const last = new Map<string, readonly string[]>();
    while (!signal.aborted) {
      for (const target of targets) {
        const urls = await addressesOf(target).catch((error: unknown) => {
          log.warn({ discovery: target, error: errorText(error) }, "discovery's reports have no address");
        });
        if (urls) last.set(target, urls);
      }
      const wanted = new Set([...last.values()].flat());
      for (const url of wanted) if (!followed.has(url)) follow(url);
      for (const [url, end] of followed) {
        if (wanted.has(url)) continue;
        followed.delete(url);
        end.abort();
      }
      for (const target of targets) if (awaited.has(target)) settle(target);
      await sleep(lookupMs, undefined, { signal, ref: false }).catch(() => {});
    }
  }

  void lookUpAll();
  return known;
}

async function addressesOf(target: string): Promise<readonly string[]> {
  const url = new URL(target);
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const addresses = await lookup(host, { all: true });
  return addresses.slice(0, maxAddresses).map(({ address, family }) => {
    url.hostname = family === 6 ? `[${address}]` : address;
    return url.href;
  });
}

interface FollowOne {
  readonly url: string;
  readonly table: ReportTable;
  readonly onChange: () => void;
  readonly log: Log;
  readonly signal: AbortSignal;
}

async function followOne({ url, table, onChange, log, signal }: FollowOne): Promise<void> {
  let loss: NodeJS.Timeout | undefined;
  const lose = () => {
    clearTimeout(loss);
    table.forget(url);
    onChange();
  };
  for (let failures = 0; !signal.aborted; ) {
    let isFirst = true;
    const error = await (async () => {
      for await (const changes of readReports(url, signal)) {
        clearTimeout(loss);
        if (isFirst) log.info({ discovery: url }, "following what gateways acknowledge");
        table.apply(url, changes, isFirst);
        isFirst = false;
        failures = 0;
        onChange();
      }
      return "the stream ended";
    })().catch(errorText);
    if (signal.aborted) break;
    if (failures === 0) log.warn({ discovery: url, error }, "discovery does not say what gateways run");
    if (!table.has(url)) onChange();
    else if (!isFirst) loss = setTimeout(lose, graceMs).unref();
    await sleep(backoffMs(failures++), undefined, { signal }).catch(() => {});
  }
  lose();
}
