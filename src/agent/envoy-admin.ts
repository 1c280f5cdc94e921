import { request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { Log } from "../log.ts";
import { errorText, SystemError } from "../system-error.ts";
import type { EnvoyBootstrap } from "./envoy-bootstrap.ts";

/** Where Envoy's admin interface is reached. */
export interface AdminAddress {
  readonly address: string;
  readonly port: number;
}

export interface AdminRequestOptions {
  readonly method?: "GET" | "POST";
  readonly signal?: AbortSignal;
  /** For the whole exchange. Envoy answers from its main thread, which a compiling module keeps busy for seconds. */
  readonly timeoutMs?: number;
}

export interface AdminResponse {
  readonly status: number;
  readonly body: string;
}

const maxBodyBytes = 256 * 1024 * 1024;
const drainPollMs = 50;

/** The admin interface that a bootstrap opens; one that listens on all addresses is reached on loopback. */
export function adminOf({ admin }: EnvoyBootstrap): AdminAddress {
  const { address, port_value: port } = admin.address.socket_address;
  const loopback: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1" };
  return { address: loopback[address] ?? address, port };
}

/** Asks the admin interface for `path`, such as `/ready`, `/listeners?format=json` or `/config_dump`. Fails with `envoy`. */
export async function adminRequest(
  admin: AdminAddress,
  path: string,
  { method = "GET", signal, timeoutMs = 30_000 }: AdminRequestOptions = {},
): Promise<AdminResponse> {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  const cancel = () => limit.abort(signal?.reason);
  signal?.addEventListener("abort", cancel);
  if (signal?.aborted) cancel();
  try {
    return await exchange(admin, path, method, limit.signal);
  } catch (error) {
    const why = limit.signal.aborted ? limit.signal.reason : error;
    throw SystemError.from(
      why,
      "envoy",
      `${method} ${path} of Envoy's admin interface at ${admin.address}:${admin.port}`,
    );
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", cancel);
  }
}

function exchange(
  { address, port }: AdminAddress,
  path: string,
  method: "GET" | "POST",
  signal: AbortSignal,
): Promise<AdminResponse> {
  return new Promise((resolve, reject) => {
    const call = request({ host: address, port, path, method, agent: false, signal });
    call.on("error", reject);
    call.on("response", (response) => {
      readBody(response).then((body) => resolve({ status: response.statusCode ?? 0, body }), reject);
    });
    call.end();
  });
}

async function readBody(response: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response) {
    size += chunk.length;
    if (size > maxBodyBytes)
      throw new SystemError("too-large", `Envoy's admin interface answered more than ${maxBodyBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

/** The body of `path`. Fails with `envoy` on any status but 200. */
export async function adminGet(
  admin: AdminAddress,
  path: string,
  options?: AdminRequestOptions,
): Promise<string> {
  const { status, body } = await adminRequest(admin, path, options);
  if (status === 200) return body;
  const said = body.trim().slice(0, 200);
  throw new SystemError(
    "envoy",
    `${path} of Envoy's admin interface answered ${status}, expected 200: ${said}`,
  );
}

/**
 * Whether Envoy serves and is not draining. False as well if it cannot be reached. Envoy is ready too when it has refused
 * everything that it was sent: see `isConfigured`.
 */
export async function ready(admin: AdminAddress, options?: AdminRequestOptions): Promise<boolean> {
  try {
    return (await adminRequest(admin, "/ready", options)).status === 200;
  } catch {
    return false;
  }
}

/** Whether Envoy has taken listeners and clusters from xDS, at least once. It keeps them whatever it refuses later. */
export async function isConfigured(admin: AdminAddress, options?: AdminRequestOptions): Promise<boolean> {
  const filter = encodeURIComponent("^(listener_manager\\.lds|cluster_manager\\.cds)\\.update_success$");
  const stats = await readStats(admin, filter, options);
  return stats.length === 2 && stats.every(({ value = 0 }) => value > 0);
}

/** What `/server_info` says; more than is spelled out. */
export interface ServerInfo {
  readonly state: "LIVE" | "DRAINING" | "PRE_INITIALIZING" | "INITIALIZING";
  readonly command_line_options: { readonly restart_epoch: number };
}

/** Which Envoy has the admin interface and what it does. Fails with `envoy`. */
export async function serverInfo(admin: AdminAddress, options?: AdminRequestOptions): Promise<ServerInfo> {
  return JSON.parse(await adminGet(admin, "/server_info", options)) as ServerInfo;
}

interface Stat {
  readonly name?: string;
  readonly value?: number;
}

async function readStats(
  admin: AdminAddress,
  filter: string,
  options?: AdminRequestOptions,
): Promise<readonly Stat[]> {
  const body = await adminGet(admin, `/stats?format=json&filter=${filter}`, options);
  return (JSON.parse(body) as { readonly stats: readonly Stat[] }).stats;
}

/** How many downstream connections are open on all listeners; those of the admin interface do not count. */
export async function activeConnections(admin: AdminAddress, options?: AdminRequestOptions): Promise<number> {
  const filter = encodeURIComponent("^listener\\..*\\.downstream_cx_active$");
  const stats = await readStats(admin, filter, options);
  // Each listener has the sum and a number for each worker thread.
  const sums = stats.filter(({ name }) => name && !/^listener\.admin\.|\.worker_\d+\.[^.]+$/.test(name));
  return sums.reduce((total, { value = 0 }) => total + value, 0);
}

/**
 * Makes Envoy's clients go: `/ready` fails, every answer closes its connection, the listeners go on accepting. Resolves
 * when no connection is left, after `drainMs`, when `signal` aborts, or at once if the admin interface does not answer.
 */
export async function drainConnections(
  admin: AdminAddress,
  { drainMs, signal, log }: { readonly drainMs: number; readonly signal: AbortSignal; readonly log: Log },
): Promise<void> {
  const limit = new AbortController();
  const stop = () => limit.abort();
  const timer = setTimeout(stop, drainMs);
  signal.addEventListener("abort", stop);
  const options = { signal: limit.signal };
  try {
    for (const path of ["/healthcheck/fail", "/drain_listeners?graceful"]) {
      const { status } = await adminRequest(admin, path, { ...options, method: "POST" });
      if (status !== 200) log.warn({ path, status }, "Envoy's admin interface refused to drain");
    }
    while ((await activeConnections(admin, options)) > 0) await sleep(drainPollMs, undefined, options);
    log.debug({}, "no downstream connection is left");
  } catch (error) {
    if (signal.aborted) return;
    if (limit.signal.aborted)
      log.warn({ drainMs }, "the drain time is over, connections that are left are cut");
    else log.warn({ error: errorText(error) }, "Envoy cannot be drained");
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
  }
}
