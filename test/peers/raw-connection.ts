import { connect, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";

/** A client that writes bytes of its own making, and keeps what comes back. */
export interface RawConnection {
  readonly socket: Socket;
  /** All that came so far, a character for each byte. */
  readonly received: () => string;
  /** The server has ended its side, or the connection. */
  readonly isEnded: () => boolean;
  write(text: string | Uint8Array): void;
  /** Resolves with true when what came satisfies a condition, with false when the server ended or the time is over. */
  reads(condition: (received: string) => boolean, timeoutMs?: number): Promise<boolean>;
  /** Resolves with true when the server has ended, with false when the time is over. */
  ends(timeoutMs?: number): Promise<boolean>;
  close(): void;
}

const defaultTimeoutMs = 20_000;

/** Connects to a loopback port. Text is written as latin1. */
export async function connectRaw(port: number, tls?: ConnectionOptions): Promise<RawConnection> {
  const place = { port, host: "127.0.0.1", rejectUnauthorized: false };
  const socket = tls ? connectTls({ ...place, ...tls }) : connect({ ...place, noDelay: true });
  let received = "";
  let isEnded = false;
  const watchers = new Set<() => void>();
  const changed = () => {
    for (const watcher of watchers) watcher();
  };
  const ended = () => {
    isEnded = true;
    changed();
  };
  socket.on("data", (bytes: Buffer) => {
    received += bytes.toString("latin1");
    changed();
  });
  socket.on("end", ended).on("close", ended).on("error", ended);
  await new Promise<void>((resolve) => {
    socket.once(tls ? "secureConnect" : "connect", resolve).once("close", () => resolve());
  });
  const wait = (isDone: () => boolean, timeoutMs: number) =>
    new Promise<void>((resolve) => {
      const finish = () => {
        watchers.delete(check);
        clearTimeout(timer);
        resolve();
      };
      const check = () => {
        if (isEnded || isDone()) finish();
      };
      const timer = setTimeout(finish, timeoutMs);
      watchers.add(check);
      check();
    });
  return {
    socket,
    received: () => received,
    isEnded: () => isEnded,
    write(text) {
      if (typeof text === "string") socket.write(text, "latin1");
      else socket.write(text);
    },
    async reads(condition, timeoutMs = defaultTimeoutMs) {
      await wait(() => condition(received), timeoutMs);
      return condition(received);
    },
    async ends(timeoutMs = defaultTimeoutMs) {
      await wait(() => false, timeoutMs);
      return isEnded;
    },
    close: () => socket.destroy(),
  };
}
