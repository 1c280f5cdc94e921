import type { HeaderMap } from "../proxy-wasm/header-map.ts";
import type { GatewayReply } from "./local-replies.ts";
import type { PeerCertificate } from "./peer-certificate.ts";
import type { ConnectionCount } from "./stats/count-connections.ts";

/** A client's connection: what all its streams have in common. */
export interface DownstreamConnection {
  readonly id: number;
  readonly localAddress: string;
  readonly localPort: number;
  /** The client's, as far as the proxies in front of us can be trusted to say it. */
  readonly remoteAddress: string;
  /** 0 where another has said the address. */
  readonly remotePort: number;
  /** Of the other end of the connection. */
  readonly directAddress: string;
  readonly directPort: number;
  readonly tls: DownstreamTlsState | undefined;
  readonly count: ConnectionCount;
}

export interface DownstreamTlsState {
  /** As Envoy says it: `TLSv1.3`. */
  readonly version: string;
  readonly serverName: string;
  /** The client has shown a certificate that was checked. */
  readonly isMutual: boolean;
  /** What the client has shown. */
  certificate(): PeerCertificate | undefined;
  /** URIs in the certificate that the client was shown. */
  readonly localUris: readonly string[];
}

export type DownstreamProtocol = "HTTP/1.0" | "HTTP/1.1" | "HTTP/2";

/** The client's side of a stream, whatever its protocol: what a response is written to. */
export interface Downstream {
  readonly protocol: DownstreamProtocol;
  readonly connection: DownstreamConnection;
  /** The client asks to switch protocols: after a 101 bodies are the other protocol's bytes. */
  readonly isUpgrade: boolean;
  sendInformational(headers: HeaderMap): void;
  sendHeaders(headers: HeaderMap, endOfStream: boolean): void;
  /** False: wait for the stream's `onDrain`. */
  sendData(bytes: Uint8Array, endOfStream: boolean): boolean;
  sendTrailers(trailers: HeaderMap): void;
  /** The client sees that the response is incomplete. */
  reset(): void;
  /** Stops reading the request's body, or goes on. */
  setPaused(paused: boolean): void;
}

/** What a client's side tells its stream. */
export interface DownstreamEvents {
  onHeaders(headers: HeaderMap, endOfStream: boolean): void;
  onData(bytes: Uint8Array, endOfStream: boolean): void;
  onTrailers(trailers: HeaderMap): void;
  onDrain(): void;
  /** What follows of the request is none. */
  onFault(reply: GatewayReply): void;
  /** The client is gone, or has reset the stream. */
  onClosed(): void;
}
