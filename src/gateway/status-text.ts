import { STATUS_CODES } from "node:http";

/** Envoy has other words than Node for these. */
const others: Readonly<Record<number, string>> = {
  418: "Unknown",
  451: "Unknown",
  509: "Unknown",
  599: "Last Unassigned Server Error Code",
};

/** The words behind a status in HTTP/1, as Envoy writes them. */
export function statusText(status: number): string {
  return others[status] ?? STATUS_CODES[status] ?? "Unknown";
}
