import { quoteJson } from "@wasmline/plugin-sdk/assembly";
import { Exchange } from "./exchange";

/** Something that a line can tell about a request. */
export abstract class Field {
  /** The name as a line has it, with the colon behind it. */
  readonly label: string;

  constructor(readonly name: string) {
    this.label = quoteJson(name) + ":";
  }

  /** Whether bodies have to be looked at for it. */
  get readsRequestBody(): bool {
    return false;
  }

  get readsResponseBody(): bool {
    return false;
  }

  /** The value as JSON; `null` when the request has none. */
  abstract json(exchange: Exchange): string;

  /** Whether only the beginning of the value is in the line. */
  isCut(exchange: Exchange): bool {
    return false;
  }
}
