import type { Socket } from "node:net";

const preface = Buffer.from("PRI * HTTP/2");

/**
 * Finds out what a connection's client speaks by its first bytes, as Envoy does: HTTP/2 if they begin with its preface. The
 * bytes stay to be read. A client that sends nothing for too long is cut off.
 */
export function detectProtocol(
  socket: Socket,
  timeoutMs: number,
  found: (protocol: "http1" | "http2") => void,
): void {
  const timer = timeoutMs > 0 ? setTimeout(() => socket.destroy(), timeoutMs) : undefined;
  const look = () => {
    const bytes: Buffer | null = socket.read();
    if (!bytes) return;
    socket.off("readable", look);
    socket.off("error", ignore);
    clearTimeout(timer);
    socket.unshift(bytes);
    found(bytes.subarray(0, preface.length).equals(preface) ? "http2" : "http1");
  };
  socket.on("readable", look);
  socket.on("error", ignore);
  socket.once("end", () => clearTimeout(timer));
  socket.once("close", () => clearTimeout(timer));
}

function ignore(): void {}
