import type { AdminCommand } from "./admin-server.ts";

/** What Envoy says where it was built or started without them. */
export const absentCommands: readonly AdminCommand[] = [
  text("/hot_restart_version", "print the hot restart compatibility version", "disabled"),
  text(
    "/contention",
    "dump current Envoy mutex contention stats (if enabled)",
    "Mutex contention tracing is not enabled. To enable, run Envoy with flag --enable-mutex-tracing.",
  ),
  text(
    "/stats/recentlookups",
    "Show recent stat-name lookups",
    "Lookup tracking is not enabled. Use /stats/recentlookups/enable to enable.\n\ntotal: 0\n",
  ),
  ...["allocprofiler", "cpuprofiler", "heapprofiler"].map(
    (name): AdminCommand => ({
      ...text(`/${name}`, "enable/disable a profiler", `The current build does not support the ${name}`, 501),
      mutates: true,
    }),
  ),
  ...["heap_dump", "peak_heap_dump", "memory/tcmalloc"].map((name) =>
    text(`/${name}`, "dump Envoy heap (if supported)", "The current build does not support this", 501),
  ),
  {
    ...text("/runtime_modify", "Adds or modifies runtime values", "No admin layer specified", 503),
    mutates: true,
  },
];

function text(path: string, help: string, body: string, status = 200): AdminCommand {
  return { path, help, answer: () => ({ status, body }) };
}
