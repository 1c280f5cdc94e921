import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { hostPort } from "../endpoint-address.ts";
import type { Reader, Readers } from "./reader.ts";

const directAddress: Reader = ({ downstream: { connection } }) => connection.directAddress;
const localAddress: Reader = ({ downstream: { connection: c } }) => hostPort(c.localAddress, c.localPort);
const machine = hostname();

/** Where a request came from, and what it came to. */
export const downstreamValues: Readers = {
  PROTOCOL: ({ downstream }) => downstream.protocol,
  CONNECTION_ID: ({ downstream }) => downstream.connection.id,
  STREAM_ID: ({ chain }) => chain.request.headers?.get("x-request-id"),
  UNIQUE_ID: () => randomUUID(),
  REQUESTED_SERVER_NAME: ({ downstream }) => downstream.connection.tls?.serverName || undefined,
  DOWNSTREAM_TLS_VERSION: ({ downstream }) => downstream.connection.tls?.version,
  DOWNSTREAM_REMOTE_ADDRESS: ({ downstream: { connection: c } }) => hostPort(c.remoteAddress, c.remotePort),
  DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: ({ downstream }) => downstream.connection.remoteAddress,
  DOWNSTREAM_REMOTE_PORT: ({ downstream }) => downstream.connection.remotePort,
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS: ({ downstream: { connection: c } }) =>
    hostPort(c.directAddress, c.directPort),
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT: directAddress,
  DOWNSTREAM_DIRECT_REMOTE_PORT: ({ downstream }) => downstream.connection.directPort,
  DOWNSTREAM_LOCAL_ADDRESS: localAddress,
  DOWNSTREAM_DIRECT_LOCAL_ADDRESS: localAddress,
  DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: ({ downstream }) => downstream.connection.localAddress,
  DOWNSTREAM_LOCAL_PORT: ({ downstream }) => downstream.connection.localPort,
  FILTER_CHAIN_NAME: ({ plan }) => plan.names.filterChain || undefined,
  FILTER_STATE: ({ chain }, { argument = "" }) => filterState(chain.state, argument),
  HOSTNAME: () => machine,
  ENVIRONMENT: (_, { argument = "" }) => process.env[argument] ?? "-",
};

function filterState(state: ReadonlyMap<string, Uint8Array>, argument: string): string | undefined {
  const [name = "", form] = argument.split(":", 2);
  const value = state.get(name);
  if (!value) return undefined;
  const text = Buffer.from(value).toString("latin1");
  return form === "PLAIN" ? text : JSON.stringify(text);
}
