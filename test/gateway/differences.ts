import type { TestRequest } from "../peers/twins/ask.ts";
import type { Exchange } from "../peers/twins/twins.ts";
import type { Difference } from "./compare.ts";

/** What is known of a request whose outcome differs. */
export interface Occasion {
  readonly request: TestRequest;
  readonly envoy: Exchange;
}

/** A difference to Envoy that is meant. */
export interface IntendedDifference {
  readonly reason: string;
  covers(difference: Difference, occasion: Occasion): boolean;
}

/** Where the gateway answers otherwise than Envoy on purpose. The differential suites take these, and nothing else. */
export const intendedDifferences: readonly IntendedDifference[] = [
  {
    reason:
      "A path that is refused or sent back for its escaped slashes is answered before a route is looked for: what routes " +
      "add to responses is not in it.",
    covers: ({ at }, { request, envoy }) =>
      at === "answer.headers" &&
      /%(2f|5c)/i.test(request.path) &&
      [200, 307, 400].includes(envoy.answer.status) &&
      envoy.upstream.length === 0,
  },
  {
    reason:
      "A plugin that makes another method of HEAD gets a response with a body from upstream: Envoy writes its end to the " +
      "client, which expects none. The gateway writes no body to who has asked with HEAD.",
    covers: (_, { request, envoy }) =>
      request.method === "HEAD" &&
      envoy.answer.isCut &&
      envoy.upstream.some(({ line }) => !line.startsWith("HEAD ")),
  },
];

/** The differences that nobody meant. */
export function unintended(found: readonly Difference[], occasion: Occasion): readonly Difference[] {
  return found.filter((each) => !intendedDifferences.some((intended) => intended.covers(each, occasion)));
}
