import { setImmediate as nextTurn } from "node:timers/promises";
import type { Status } from "../gen/google/rpc/status_pb.ts";
import type { EcdsSession } from "./ecds-incremental.ts";
import type { PluginLog } from "./plugin-log.ts";

/**
 * A session that hears with each refusal why: Envoy's own answer is `Unable to create Wasm plugin NAME`, and the reason
 * is in its log. Requests stay in their order.
 */
export function explainRefusals<Request extends { readonly errorDetail?: Status }, Response>(
  session: EcdsSession<Request, Response>,
  log: PluginLog,
  signal: AbortSignal,
): EcdsSession<Request, Response> {
  let last: Promise<void> | undefined;

  async function explainAfter(before: Promise<void> | undefined, request: Request): Promise<void> {
    await before;
    if (request.errorDetail) await logIsRead();
    if (!signal.aborted) session.onRequest(explained(request, log));
  }

  return {
    onResponse: session.onResponse,
    onRequest(request) {
      if (!last && !request.errorDetail) return session.onRequest(request);
      const mine = explainAfter(last, request).finally(() => {
        if (last === mine) last = undefined;
      });
      last = mine;
    },
  };
}

/** Envoy writes its log before it answers, but the answer may be read first: the log is, once the loop has gone round. */
async function logIsRead(): Promise<void> {
  await nextTurn();
  await nextTurn();
}

function explained<Request extends { readonly errorDetail?: Status }>(
  request: Request,
  log: PluginLog,
): Request {
  const { errorDetail } = request;
  if (!errorDetail) return request;
  const message = errorDetail.message.replace(
    /Unable to create Wasm plugin (\S+)/g,
    (found, plugin: string) => {
      const reason = log.loadFailure(plugin);
      return reason === "" ? found : `${found}: ${reason}`;
    },
  );
  return { ...request, errorDetail: { ...errorDetail, message } };
}
