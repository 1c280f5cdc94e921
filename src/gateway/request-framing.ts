import type { HeaderLine } from "../proxy-wasm/header-map.ts";
import { ProtocolError, parseLength } from "./header-text.ts";
import { lengthAndChunks, notImplemented } from "./local-replies.ts";
import { RequestFault } from "./request-fault.ts";
import type { ParsedRequest } from "./request-parser.ts";

type Said = Pick<ParsedRequest, "hasBody" | "keepsAlive" | "isUpgrade" | "expect">;

interface RequestFraming extends Said {
  /** Of a body that is not chunked. */
  readonly length: number | undefined;
}

const closes = /(^|[\s,])close($|[\s,])/i;
const keeps = /(^|[\s,])keep-alive($|[\s,])/i;
const upgrades = /(^|[\s,])upgrade($|[\s,])/i;

/**
 * How long a request's body is, and what its client wants of the connection.
 * @throws RequestFault
 */
export function readRequestFraming(lines: HeaderLine[], protocol: ParsedRequest["protocol"]): RequestFraming {
  let length: number | undefined;
  let coding: string | undefined;
  let connection = "";
  let upgrade: string | undefined;
  let expect: string | undefined;
  for (const [name, value] of lines) {
    switch (name) {
      case "content-length":
        length = readLength(value, length);
        break;
      case "transfer-encoding":
        coding = coding === undefined ? value.toLowerCase() : `${coding},${value}`;
        break;
      case "connection":
      case "proxy-connection":
        connection += `${value},`;
        break;
      case "upgrade":
        upgrade = value.toLowerCase();
        break;
      case "expect":
        expect = value.toLowerCase();
    }
  }
  if (coding !== undefined) checkCoding(coding, length);
  // RFC 9110 section 7.8: HTTP/1.0 knows no upgrades.
  const isAsked = upgrade !== undefined && protocol === "HTTP/1.1" && upgrades.test(connection);
  // As Envoy: a client that would like to speak HTTP/2 is answered in HTTP/1.
  if (isAsked && upgrade === "h2c") removeUpgrade(lines);
  return {
    length,
    hasBody: coding !== undefined || (length !== undefined && length > 0),
    keepsAlive: protocol === "HTTP/1.1" ? !closes.test(connection) : keeps.test(connection),
    isUpgrade: isAsked && upgrade !== "h2c",
    expect,
  };
}

function readLength(value: string, before: number | undefined): number {
  const length = parseLength(value);
  if (length === undefined || before !== undefined) throw new ProtocolError("the content-length is broken");
  return length;
}

function checkCoding(coding: string, length: number | undefined): void {
  if (length !== undefined) throw new RequestFault(lengthAndChunks);
  if (coding !== "chunked") throw new RequestFault(notImplemented);
}

function removeUpgrade(lines: HeaderLine[]): void {
  const kept = lines.filter(
    ([name]) => name !== "upgrade" && name !== "http2-settings" && name !== "connection",
  );
  lines.splice(0, lines.length, ...kept);
}
