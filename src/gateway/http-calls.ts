import { HeaderMap } from "../proxy-wasm/header-map.ts";
import type { Cancel, HttpAnswer, HttpCall } from "../proxy-wasm/index.ts";
import { askerOf, buildReply } from "../proxy-wasm/local-reply.ts";
import type { ActiveClusters } from "./active-clusters.ts";
import { Forwarding, type ForwardingOptions } from "./forwarding.ts";
import { type GatewayReply, upstreamReset } from "./local-replies.ts";

/** What a plugin's call may answer, in bytes. */
export const maxAnswerBytes = 64 * 1024 * 1024;
const requiredNames = [":method", ":path", ":authority"];
const malformed = upstreamReset({ reason: "protocol error", transport: undefined, beforeSent: true }, false);

/** Sends a plugin's request to a cluster. As in Envoy, the gateway answers where no upstream does. */
export function callHttp(
  clusters: ActiveClusters,
  call: HttpCall,
  done: (answer: HttpAnswer | undefined) => void,
): Cancel | "unknown-upstream" {
  const cluster = clusters.find(call.upstream);
  if (!cluster) return "unknown-upstream";
  const request = requestOf(call);
  const state = createAnswer(request, done);
  const options: ForwardingOptions = {
    cluster,
    timeoutMs: call.timeoutMs ?? 0,
    retryPolicy: undefined,
    bufferLimitBytes: maxAnswerBytes,
  };
  const forwarding = new Forwarding(state.owner, options);
  state.onTooMuch(() => forwarding.cancel());
  // Nothing calls back before this function has returned.
  const start = setImmediate(() => {
    if (requiredNames.every((name) => request.get(name))) send(forwarding, request, call);
    else state.owner.onFailure(malformed);
  });
  return () => {
    state.close();
    clearImmediate(start);
    forwarding.cancel();
  };
}

/** As Envoy's client: with a scheme and the body's length. */
function requestOf({ headers, body, timeoutMs }: HttpCall): HeaderMap {
  const map = new HeaderMap([...headers]);
  if (map.get(":scheme") === undefined) map.add(":scheme", "http");
  if (body.length > 0 && map.get("content-length") === undefined)
    map.add("content-length", String(body.length));
  // What the gateway asks itself is internal, and told how long it waits.
  map.replace("x-envoy-internal", "true");
  if (timeoutMs !== undefined && timeoutMs > 0)
    map.replace("x-envoy-expected-rq-timeout-ms", String(timeoutMs));
  return map;
}

/** As Envoy's client: trailers of a plugin's request are not sent. */
function send(forwarding: Forwarding, request: HeaderMap, { body }: HttpCall): void {
  forwarding.start(request, body.length === 0);
  if (body.length > 0) forwarding.data(body, true);
}

/** Puts an answer together, and gives it once. */
function createAnswer(request: HeaderMap, done: (answer: HttpAnswer | undefined) => void) {
  const parts: Uint8Array[] = [];
  const startedMs = performance.now();
  let size = 0;
  let headers: HeaderMap | undefined;
  let isOpen = true;
  let stop = () => {};
  const finish = (answer: HttpAnswer | undefined) => {
    if (isOpen) done(answer);
    isOpen = false;
  };
  const complete = (trailers: HeaderMap | undefined) =>
    finish({ headers: headers!.lines, body: Buffer.concat(parts), trailers: trailers?.lines ?? [] });
  return {
    close() {
      isOpen = false;
    },
    onTooMuch(cancel: () => void) {
      stop = cancel;
    },
    owner: {
      onResponseHeaders(received: HeaderMap, end: boolean) {
        headers = received;
        received.replace("x-envoy-upstream-service-time", String(Math.round(performance.now() - startedMs)));
        if (end) complete(undefined);
      },
      onResponseData(bytes: Uint8Array, end: boolean) {
        size += bytes.length;
        parts.push(bytes);
        if (end) complete(undefined);
        else if (size > maxAnswerBytes) {
          stop();
          finish(undefined);
        }
      },
      onResponseTrailers: complete,
      onFailure(reply: GatewayReply) {
        const { headers: lines, body } = buildReply(reply, askerOf(request));
        finish({ headers: lines.lines, body, trailers: [] });
      },
      onCut: () => finish(undefined),
      onRequestBlocked() {},
    },
  };
}
