import type { DownstreamConnection } from "./downstream.ts";
import type { HttpConnection } from "./gateway-config.ts";

const withPort = /^([^:]*|\[.*\]):(\d+)$/;

/** An authority without its port, where the connection manager takes that away. */
export function splitPort(
  authority: string,
  { localPort }: DownstreamConnection,
  { stripPort }: HttpConnection,
): string {
  const match = withPort.exec(authority);
  if (!match) return authority;
  const port = Number(match[2]);
  return stripPort === "any" || port === localPort ? match[1]! : authority;
}
