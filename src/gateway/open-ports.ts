import { createServer, type Server, type Socket } from "node:net";
import { getOrCreate } from "../get-or-create.ts";
import { SystemError } from "../system-error.ts";
import { canSharePorts } from "./concurrency.ts";
import type { Listener } from "./gateway-config.ts";

/** A port that is listened at, for the listener that serves there now. */
export interface OpenPort {
  readonly port: number;
  /** Gets the connections. While there is nobody they are reset. */
  accept: ((socket: Socket) => void) | undefined;
}

/** The ports that are listened at, by address: whatever serves there, a port that stays is never closed. */
export interface OpenPorts {
  /**
   * Listens at a listener's address, once. The port stays open until the signal aborts, and then if it is one of those to
   * keep.
   * @throws SystemError `network`
   */
  open(listener: Listener, signal: AbortSignal): Promise<OpenPort>;
  find(listener: Listener): OpenPort | undefined;
  /** Closes all ports but those of these listeners, and those that somebody wants. Connections stay. */
  keep(listeners: Iterable<Listener>): void;
  /** Takes no more connections at a port, which stays known as open. */
  stop(port: OpenPort): void;
  close(): void;
}

interface Entry {
  readonly server: Server;
  readonly opened: Promise<OpenPort>;
  open: OpenPort | undefined;
  claims: number;
}

/** With `share` others may listen beside, whatever the listeners say. */
export function createOpenPorts(share = false): OpenPorts {
  const entries = new Map<string, Entry>();
  let kept: ReadonlySet<string> = new Set();
  return {
    open(listener, signal) {
      const key = keyOf(listener);
      const entry = getOrCreate(entries, key, () => begin(key, listener));
      claim(key, entry, signal);
      return entry.opened;
    },
    find: (listener) => entries.get(keyOf(listener))?.open,
    keep,
    stop(port) {
      for (const { open, server } of entries.values()) if (open === port) server.close();
    },
    close: () => keep([]),
  };

  function begin(key: string, listener: Listener): Entry {
    const server = createServer({ noDelay: true, pauseOnConnect: false }, (socket) => {
      if (entry.open?.accept) entry.open.accept(socket);
      else socket.resetAndDestroy();
    });
    const entry: Entry = {
      server,
      opened: listen(server, share ? { ...listener, reusePort: true } : listener),
      open: undefined,
      claims: 0,
    };
    entry.opened.then(
      (open) => {
        entry.open = open;
        closeUnused(key, entry);
      },
      () => {
        if (entries.get(key) === entry) entries.delete(key);
      },
    );
    return entry;
  }

  function claim(key: string, entry: Entry, signal: AbortSignal): void {
    entry.claims++;
    const end = () => {
      entry.claims--;
      closeUnused(key, entry);
    };
    if (signal.aborted) end();
    else signal.addEventListener("abort", end, { once: true });
  }

  function keep(listeners: Iterable<Listener>): void {
    kept = new Set([...listeners].map(keyOf));
    for (const [key, entry] of entries) closeUnused(key, entry);
  }

  function closeUnused(key: string, entry: Entry): void {
    if (!entry.open || entry.claims > 0 || kept.has(key) || entries.get(key) !== entry) return;
    entries.delete(key);
    entry.open.accept = undefined;
    entry.server.close();
  }
}

/** Any free port is another one for each listener. */
function keyOf({ address, port, reusePort, name }: Listener): string {
  return JSON.stringify([address, port, reusePort && canSharePorts, ...(port === 0 ? [name] : [])]);
}

function listen(server: Server, { address, port, reusePort, name }: Listener): Promise<OpenPort> {
  return new Promise((resolve, reject) => {
    server.on("error", (error) =>
      reject(
        new SystemError(
          "network",
          `listener ${name} cannot listen on ${address}:${port}: ${error.message}`,
          error,
        ),
      ),
    );
    server.listen(
      { host: address, port, backlog: 1024, ...(reusePort && canSharePorts && { reusePort }) },
      () => {
        const bound = server.address();
        resolve({ port: typeof bound === "object" && bound ? bound.port : port, accept: undefined });
      },
    );
  });
}
