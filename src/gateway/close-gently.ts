import type { Duplex } from "node:stream";

const closing = new WeakSet<Duplex>();

/**
 * Ends a connection once everything is written. What the client still sends is read and dropped for a while
 * (`delayed_close_timeout`): closed at once, its bytes would make the kernel reset the connection, and the client lose the
 * answer.
 */
export function closeGently(socket: Duplex, delayMs: number): void {
  if (closing.has(socket) || socket.destroyed) return;
  closing.add(socket);
  const timer = setTimeout(() => socket.destroy(), delayMs);
  socket.once("close", () => clearTimeout(timer));
  socket.end();
  socket.resume();
}
