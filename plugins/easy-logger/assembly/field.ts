import { bytesOf, quoteJson } from "@wasmline/plugin-sdk/assembly";
import { ByteWriter } from "@wasmline/plugin-sdk/assembly/byte-writer";
import { Exchange } from "./exchange";

/** Something that a line can tell about a request. */
export abstract class Field {
  /** The name as a line has it, between a comma and a colon. */
  readonly label: ArrayBuffer;

  constructor(readonly name: string) {
    this.label = bytesOf(`,${quoteJson(name)}:`);
  }

  /** Whether bodies have to be looked at for it. */
  get readsRequestBody(): bool {
    return false;
  }

  get readsResponseBody(): bool {
    return false;
  }

  /** Writes the value as JSON; `null` when the request has none. */
  abstract write(line: ByteWriter, exchange: Exchange): void;

  /** Whether only the beginning of the value is in the line. */
  isCut(exchange: Exchange): bool {
    return false;
  }
}
