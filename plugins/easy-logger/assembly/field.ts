import { Exchange } from "./exchange";

/** Something that a line can tell about a request. */
export abstract class Field {
  constructor(readonly name: string) {}

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
