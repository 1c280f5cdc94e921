import { connect as connectTcp, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { hostPort } from "./endpoint-address.ts";
import type { UpstreamReset } from "./upstream-stream.ts";

export interface ConnectionTarget {
  /** An IP address; of a pipe, its path. */
  readonly address: string;
  /** 0 with a pipe. */
  readonly port: number;
  /** Of TCP and TLS together. */
  readonly connectTimeoutMs: number;
  /** Undefined: plaintext. Asked for each connection, since certificates change. */
  readonly tls?: (() => ConnectionOptions) | undefined;
}

/** A socket to an endpoint. */
export interface UpstreamSocket {
  readonly socket: Socket;
  /** `ip:port` of the endpoint, or a pipe's path. */
  readonly remoteAddress: string;
  /** It reads into one buffer again and again, for `reader`: parts are copied only if they are passed on. */
  readonly reusesBuffer: boolean;
  /** Gets what comes; the bytes are gone after the call. */
  reader: ((bytes: Uint8Array) => void) | undefined;
  /** Gives up before it is connected. */
  giveUp(): void;
}

export interface SocketOptions {
  readonly target: ConnectionTarget;
  readonly reusesBuffer: boolean;
  onConnected(): void;
  /** Instead of `onConnected`. */
  onFailed(reset: UpstreamReset): void;
}

const readBytes = 64 * 1024;

/** Connects to an endpoint. TLS is up when it is connected. */
export function openUpstreamSocket(options: SocketOptions): UpstreamSocket {
  const { target } = options;
  const tls = target.tls?.();
  const opened: UpstreamSocket = {
    socket: connectTo(options, tls, (bytes) => opened.reader?.(bytes)),
    remoteAddress: target.port === 0 ? target.address : hostPort(target.address, target.port),
    reusesBuffer: options.reusesBuffer,
    reader: undefined,
    giveUp,
  };
  const { socket } = opened;
  const timer = setTimeout(() => fail("connection timeout", undefined), target.connectTimeoutMs);
  const connected = tls ? "secureConnect" : "connect";
  const onConnect = () => {
    settle();
    options.onConnected();
  };
  const onError = (error: NodeJS.ErrnoException) => fail("remote connection failure", failureText(error));
  const onClose = () => fail("remote connection failure", "");
  socket.once(connected, onConnect).once("error", onError).once("close", onClose);
  return opened;

  function settle(): void {
    clearTimeout(timer);
    socket.off(connected, onConnect).off("error", onError).off("close", onClose);
  }

  function giveUp(): void {
    settle();
    socket.on("error", () => {});
    socket.destroy();
  }

  function fail(reason: UpstreamReset["reason"], transport: string | undefined): void {
    giveUp();
    options.onFailed({ reason, transport: transport || undefined, beforeSent: true });
  }
}

function connectTo(
  { target: { address, port }, reusesBuffer }: SocketOptions,
  tls: ConnectionOptions | undefined,
  read: (bytes: Uint8Array) => void,
): Socket {
  const place = port === 0 ? { path: address } : { host: address, port };
  const onread = reusesBuffer && {
    buffer: Buffer.allocUnsafeSlow(readBytes),
    callback(length: number, buffer: Uint8Array) {
      read(buffer.subarray(0, length));
      return true;
    },
  };
  const options = { ...tls, ...place, ...(onread && { onread }), noDelay: true };
  const socket = tls ? connectTls(options as ConnectionOptions) : connectTcp(options);
  if (tls) socket.setNoDelay(true);
  return socket;
}

/** The words for what Node has codes for. */
const connectErrors: Readonly<Record<string, string>> = {
  ECONNREFUSED: "Connection refused",
  ECONNRESET: "Connection reset by peer",
  EHOSTUNREACH: "No route to host",
  ENETUNREACH: "Network is unreachable",
  ENOENT: "No such file or directory",
};

function failureText({ code = "", syscall, message }: NodeJS.ErrnoException): string {
  if (syscall === "connect") return `delayed connect error: ${connectErrors[code] ?? code}`;
  if (code === "ECONNRESET" || code === "EPIPE") return "";
  // Unlike Envoy: without BoringSSL's numbers. What is no error of the protocol is one of the certificate.
  const cause = code.startsWith("ERR_SSL_")
    ? code.slice("ERR_SSL_".length)
    : `CERTIFICATE_VERIFY_FAILED:${message}`;
  return `TLS_error:|SSL routines:OPENSSL_internal:${cause}:TLS_error_end`;
}
