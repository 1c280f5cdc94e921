import type { Duplex } from "node:stream";
import { SystemError } from "../system-error.ts";
import { createReplyScanner } from "./reply-scanner.ts";

export interface ConnectionOptions {
  readonly stream: Duplex;
  /** Sent first; nothing else is until each is answered with no error. */
  readonly handshake: readonly Uint8Array[];
  readonly handshakeTimeoutMs: number;
  readonly maxReplyBytes: number;
  /** Called once. `worked`: it had answered something. */
  onClosed(reason: SystemError, worked: boolean): void;
}

export interface RedisConnection {
  /** Calls that are not answered yet. */
  waiting(): number;
  /** Sends a command; any number may be under way. One that is not answered in time ends the connection, as in Envoy. */
  send(query: Uint8Array, timeoutMs: number): Promise<Uint8Array>;
  close(reason: SystemError): void;
}

interface Waiter {
  settle(reply: Uint8Array | SystemError): void;
}

export function openConnection(options: ConnectionOptions): RedisConnection {
  const { stream, handshake, maxReplyBytes } = options;
  const scanner = createReplyScanner(maxReplyBytes);
  const waiters: Waiter[] = [];
  const held: Uint8Array[] = [];
  let greetings = handshake.length;
  let closed: SystemError | undefined;
  let worked = false;

  const close = (reason: SystemError) => {
    if (closed) return;
    closed = reason;
    stream.destroy();
    for (const waiter of waiters.splice(0)) waiter.settle(reason);
    options.onClosed(reason, worked);
  };
  const expect = (timeoutMs: number, settle: Waiter["settle"]) => {
    const late = () => close(new SystemError("timeout", `Redis did not answer within ${timeoutMs} ms`));
    const timer = setTimeout(late, timeoutMs);
    waiters.push({
      settle(reply) {
        clearTimeout(timer);
        settle(reply);
      },
    });
  };
  const greet = (reply: Uint8Array | SystemError) => {
    if (reply instanceof SystemError) return;
    if (isError(reply)) return close(refusal(reply));
    greetings--;
    if (greetings > 0) return;
    worked = true;
    for (const query of held.splice(0)) stream.write(query);
  };
  const receive = (chunk: Uint8Array) => {
    try {
      for (const reply of scanner.push(chunk)) {
        const waiter = waiters.shift();
        if (!waiter) throw new Error("a reply that nothing was asked for");
        worked ||= greetings === 0;
        waiter.settle(reply === "too-large" ? tooLarge(maxReplyBytes) : reply);
      }
    } catch (error) {
      close(SystemError.from(error, "network", "reading from Redis"));
    }
  };
  stream.on("data", receive);
  stream.on("error", (error) => close(SystemError.from(error, "network", "talking to Redis")));
  stream.on("close", () => close(new SystemError("network", "Redis closed the connection")));
  for (const command of handshake) {
    stream.write(command);
    expect(options.handshakeTimeoutMs, greet);
  }
  return {
    waiting: () => waiters.length,
    close,
    send: (query, timeoutMs) =>
      new Promise((resolve, reject) => {
        if (closed) return reject(closed);
        expect(timeoutMs, (reply) => (reply instanceof SystemError ? reject(reply) : resolve(reply)));
        if (greetings > 0) held.push(query);
        else stream.write(query);
      }),
  };
}

function isError(reply: Uint8Array): boolean {
  return reply[0] === 0x2d;
}

/** Redis' own words; it never repeats a password in them. */
function refusal(reply: Uint8Array): SystemError {
  const words = Buffer.from(reply).toString("latin1", 1, 200).trim();
  const code = /^(WRONGPASS|NOAUTH|NOPERM|ERR AUTH|ERR invalid password)/.test(words)
    ? "unauthorized"
    : "network";
  return new SystemError(code, `Redis refuses the connection: ${words}`);
}

function tooLarge(maxBytes: number): SystemError {
  return new SystemError("too-large", `a reply of Redis is larger than ${maxBytes} bytes`);
}
