import { ProtocolError } from "./header-text.ts";
import {
  badRequest,
  type GatewayReply,
  headersTooLarge,
  invalidCharacters,
  tooManyHeaders,
} from "./local-replies.ts";

/** What is wrong, with the answer to it. */
export class RequestFault extends ProtocolError {
  readonly reply: GatewayReply;

  constructor(reply: GatewayReply) {
    super(reply.details);
    this.reply = reply;
  }
}

/** The answer to what is no request. */
export function replyToFault(error: ProtocolError): GatewayReply {
  if (error instanceof RequestFault) return error.reply;
  if (error.kind === "characters") return invalidCharacters;
  if (error.kind === "count") return tooManyHeaders;
  return error.kind === "length" ? headersTooLarge : badRequest;
}
