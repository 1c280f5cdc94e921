import { LocalResponse } from "@wasmline/plugin-sdk/assembly";

/** What a configuration makes of requests. Responses are encoded once, when the configuration is read. */
export class ResponseConfig {
  /** Sent to every request before the upstream sees it; null when responses go by status. */
  always: LocalResponse | null = null;
  byStatus: StatusTable = new StatusTable();
}

/** Responses by the upstream's status code: exact codes first, then patterns such as "40x" in the order written. */
export class StatusTable {
  private exact: Map<string, LocalResponse> = new Map<string, LocalResponse>();
  private patterns: string[] = [];
  private patternResponses: LocalResponse[] = [];

  get isUsed(): bool {
    return this.exact.size + this.patterns.length > 0;
  }

  has(code: string): bool {
    return this.exact.has(code) || this.patterns.includes(code);
  }

  addExact(code: string, response: LocalResponse): void {
    this.exact.set(code, response);
  }

  addPattern(pattern: string, response: LocalResponse): void {
    this.patterns.push(pattern);
    this.patternResponses.push(response);
  }

  find(status: string): LocalResponse | null {
    if (this.exact.has(status)) return this.exact.get(status);
    // Unlike Higress: of two patterns that fit, the first one written counts; there it is left to chance.
    for (let i = 0; i < this.patterns.length; i++) {
      if (fits(status, this.patterns[i])) return this.patternResponses[i];
    }
    return null;
  }
}

function fits(status: string, pattern: string): bool {
  if (status.length != pattern.length) return false;
  for (let i = 0; i < pattern.length; i++) {
    const wanted = pattern.charCodeAt(i);
    if (wanted != 0x78 && wanted != status.charCodeAt(i)) return false;
  }
  return true;
}
