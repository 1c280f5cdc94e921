import { Source } from "./facts";
import { Operation } from "./operation";

/** Changes of one direction: of each part, in the order of the rules. */
export class Rules {
  readonly headers: Operation[] = [];
  readonly querys: Operation[] = [];
  readonly body: Operation[] = [];
  /** Whether headers or the query may depend on the body, and have to wait for it. */
  waitsForBody: bool = false;
  /** Whether a value depends on the request's host or path. */
  hasPatterns: bool = false;
  /** Whether an operation needs the request's query. */
  usesQuery: bool = false;

  /** Whether there is anything to do with a body. */
  get needsBody(): bool {
    return this.waitsForBody || this.body.length > 0;
  }

  part(source: Source): Operation[] {
    if (source == Source.Headers) return this.headers;
    return source == Source.Querys ? this.querys : this.body;
  }
}
