import { Action, Header, LocalResponse } from "@wasmline/plugin-sdk/assembly";

/** Request header that tells the upstream who called. */
export const CONSUMER_HEADER = "x-mse-consumer";

export enum Denial {
  MultipleKeys,
  NoKey,
  Unauthorized,
}

const PREFIX = "Request denied by Key Auth check. ";

const responses: LocalResponse[] = [
  createDenial(401, "Multi Key Authentication information found.", "key-auth.multi_key"),
  createDenial(401, "No Key Authentication information found.", "key-auth.no_key"),
  createDenial(403, "Unauthorized consumer.", "key-auth.unauthorized"),
];

function createDenial(status: u32, reason: string, details: string): LocalResponse {
  return new LocalResponse(
    status,
    [new Header("WWW-Authenticate", "Key realm=MSE Gateway")],
    PREFIX + reason,
    details,
  );
}

/** Answers in place of the upstream. The request stays paused should the proxy not take the answer. */
export function deny(denial: Denial): Action {
  return responses[denial].send() ? Action.Continue : Action.Pause;
}
