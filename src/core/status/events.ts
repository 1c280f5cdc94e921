import type { KubernetesClient } from "../../kubernetes/client.ts";
import type { StatusOfPlugin } from "./plugin-statuses.ts";
import { type StatusBody, type WrittenCondition, wasmPluginApi } from "./status-body.ts";

/** Who reports, as events name it. */
export const reportingController = "wasmline.io/core";

/** What is none of anybody's fault. */
const harmless: readonly string[] = ["Disabled", "Pending", "NoGateways"];

/** The conditions that are worth an event: those that have changed, and of a new plugin what it came to. */
export function eventsOf(before: StatusBody | undefined, after: StatusBody): readonly WrittenCondition[] {
  return after.conditions.filter(({ type, status, reason }) => {
    const known = before?.conditions.find((other) => other.type === type);
    if (known) return known.status !== status || known.reason !== reason;
    return status === "False" ? !harmless.includes(reason) : type === "Programmed" && status === "True";
  });
}

const actions = { Accepted: "Accept", Resolved: "Resolve", Programmed: "Program" } as const;

/** Limits of `events.k8s.io/v1`, in characters. */
const maxNote = 1024;
const maxInstance = 128;

/** An event about a WasmPlugin, as `kubectl describe` shows it below the object. */
export function createEvent(
  { ref, server }: StatusOfPlugin,
  { type, status, reason, message }: WrittenCondition,
  instance: string,
  now: Date,
) {
  const { namespace, name } = ref;
  const suffix = (now.getTime() * 1000 + Math.floor(Math.random() * 1000)).toString(16);
  const isFine = status === "True" || harmless.includes(reason);
  return {
    apiVersion: "events.k8s.io/v1",
    kind: "Event",
    metadata: { namespace, name: `${name.slice(0, 200)}.${type.toLowerCase()}.${suffix}` },
    // Go reads this type with exactly six digits.
    eventTime: now.toISOString().replace("Z", "000Z"),
    reportingController,
    reportingInstance: instance.slice(0, maxInstance),
    action: actions[type],
    reason,
    note: message.slice(0, maxNote),
    type: isFine ? "Normal" : "Warning",
    regarding: { ...wasmPluginApi, namespace, name, uid: server?.uid },
  };
}

/** Sends an event to the cluster. */
export async function postEvent(
  client: KubernetesClient,
  event: ReturnType<typeof createEvent>,
  signal: AbortSignal,
): Promise<void> {
  const path = `/apis/events.k8s.io/v1/namespaces/${event.metadata.namespace}/events`;
  await client.request("POST", path, { body: event, signal });
}
