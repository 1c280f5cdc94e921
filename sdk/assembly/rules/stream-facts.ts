import { requestHeaders } from "../headers";
import { clusterName, routeName } from "../renamed-property";

/** What rules look at in the current stream, each asked from the proxy only when a rule needs it. Null: not known. */
export class StreamFacts {
  constructor(private isStrict: bool) {}

  /** The request's host as the client wrote it. */
  host(): string | null {
    return this.orEmpty(requestHeaders.get(":authority"));
  }

  /** Name of the route; "" when there is none. */
  route(): string | null {
    return this.orEmpty(routeName.read());
  }

  /** Name of the cluster; "" when there is none. */
  cluster(): string | null {
    return this.orEmpty(clusterName.read());
  }

  // Unlike Higress: what is not there is equal to no name, and the global configuration applies. There a request without a
  // host gets past the plugin as soon as there is a rule.
  private orEmpty(text: string | null): string | null {
    return text === null && !this.isStrict ? "" : text;
  }
}
