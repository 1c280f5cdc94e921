import type { Diagnostic } from "../../resource/diagnostic.ts";
import { formatPath } from "../../resource/diagnostic.ts";
import type { PluginReport } from "../../xds/plugin-report.ts";
import type { WasmPluginStatus } from "../convert-resources.ts";
import type { KnownReports } from "./report-table.ts";

export type ConditionType = "Accepted" | "Resolved" | "Programmed";

/** What is known of one question about a plugin (the form is that of Kubernetes' `metav1.Condition`). */
export interface Condition {
  readonly type: ConditionType;
  readonly status: "True" | "False" | "Unknown";
  /** For programs, one word. */
  readonly reason: string;
  /** For people. */
  readonly message: string;
}

/** What can be said of one plugin. */
export interface PluginStatus {
  readonly conditions: readonly Condition[];
  /** How many gateways it applies to, and how many of them run this version. */
  readonly gateways: { readonly total: number; readonly programmed: number } | undefined;
  /** The module's SHA-256, where all gateways that answered run the same. */
  readonly digest: string | undefined;
  /** Gateways have not all answered: what is said here is soon overtaken. */
  readonly isPending: boolean;
}

/** What core and discovery know of one plugin. */
export interface PluginFacts {
  /** What conversion made of it; undefined where it could not be read. */
  readonly plugin: WasmPluginStatus | undefined;
  /** What there is to say about what was written. */
  readonly diagnostics: readonly Diagnostic[];
  /** Its configuration holds values from Secrets, which what gateways say may repeat. */
  readonly holdsSecrets: boolean;
  /** What discoveries say of the version that is served now. */
  readonly report: PluginReport | undefined;
  /** Whether anything makes gateways listen; a plugin runs in a listener. */
  readonly hasListeners: boolean;
  /** How much discovery says at all. */
  readonly following: KnownReports["following"];
}

/** Kubernetes' limit for a message. */
const maxMessageLength = 32_768;

export function pluginStatus(facts: PluginFacts): PluginStatus {
  const accepted = acceptedCondition(facts);
  const rest = accepted.status === "True" ? inEffect(facts, accepted) : notServed(facts, accepted);
  const conditions = [accepted, ...rest.conditions].map((condition) => ({
    ...condition,
    message: condition.message.slice(0, maxMessageLength),
  }));
  return { gateways: undefined, digest: undefined, isPending: false, ...rest, conditions };
}

type Rest = Pick<PluginStatus, "conditions"> & Partial<PluginStatus>;

function condition(
  type: ConditionType,
  status: Condition["status"],
  reason: string,
  message: string,
): Condition {
  return { type, status, reason, message };
}

/** Whether what was written makes sense. */
function acceptedCondition({ plugin, diagnostics }: PluginFacts): Condition {
  const errors = diagnostics.filter(({ severity }) => severity === "error");
  if (errors.length > 0 || !plugin || plugin.state === "rejected") {
    const kept = plugin?.lastGood ? "; its last good version stays in effect" : "";
    return condition("Accepted", "False", reasonOf(errors[0]), `${textOf(errors)}${kept}`);
  }
  const remarks = diagnostics.length > 0 ? `; ${textOf(diagnostics)}` : "";
  switch (plugin.state) {
    case "ignored":
      return condition("Accepted", "False", "NamespaceIgnored", textOf(diagnostics));
    case "disabled":
      return condition("Accepted", "True", "Disabled", `it is switched off${remarks}`);
    case "accepted":
      return condition("Accepted", "True", "Accepted", `it is sent to gateways${remarks}`);
  }
}

/** `RULE_NO_MATCH` as `RuleNoMatch`. */
function reasonOf(diagnostic: Diagnostic | undefined): string {
  const words = (diagnostic?.code ?? "INVALID_VALUE").toLowerCase().split("_");
  return words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join("");
}

function textOf(diagnostics: readonly Diagnostic[]): string {
  return diagnostics
    .map(({ at, message, hint }) => {
      const path = at.path?.length ? `${formatPath(at.path)}: ` : "";
      return `${path}${message}${hint ? ` (${hint})` : ""}`;
    })
    .join("; ");
}

function notServed({ plugin }: PluginFacts, { reason }: Condition): Rest {
  const message = plugin?.lastGood
    ? "this version is not sent to gateways; they stay with the last good one"
    : "it is not sent to gateways";
  const why = reason === "NamespaceIgnored" ? reason : "NotAccepted";
  return {
    conditions: [
      condition("Resolved", "Unknown", why, message),
      condition("Programmed", "False", why, message),
    ],
  };
}

function inEffect(facts: PluginFacts, accepted: Condition): Rest {
  const { following, report, hasListeners } = facts;
  if (accepted.reason === "Disabled") return both("Unknown", "False", "Disabled", "it is switched off");
  if (following !== "yes") {
    const why = {
      no: ["NotFollowed", "core is not told where discovery reports (--discovery-status)"],
      away: ["DiscoveryUnreachable", "no discovery reports what gateways run"],
    } as const;
    const [reason, message] = why[following];
    return { ...both("Unknown", "Unknown", reason, message), isPending: following === "away" };
  }
  if (!report) {
    // A plugin that applies nowhere is in no report, and neither is one that discovery has not got yet.
    const message = hasListeners
      ? "no gateway has it yet: none is connected that it applies to, or discovery has not sent it"
      : "gateways have no listener to run it in, since no Ingress counts: one needs the class of core's --ingress-class in spec.ingressClassName";
    return { ...both("Unknown", "False", "NoGateways", message), gateways: none, isPending: true };
  }
  return reported(facts, report);
}

const none = { total: 0, programmed: 0 };

function both(
  resolved: Condition["status"],
  programmed: Condition["status"],
  reason: string,
  message: string,
): Rest {
  return {
    conditions: [
      condition("Resolved", resolved, reason, message),
      condition("Programmed", programmed, reason, message),
    ],
  };
}

function reported(facts: PluginFacts, report: PluginReport): Rest {
  const { gateways: total, programmed, refused } = report;
  const isPending = programmed + refused < total;
  const digests = Object.keys(report.modules);
  return {
    conditions: [resolvedCondition(facts, report, isPending), programmedCondition(facts, report)],
    gateways: { total, programmed },
    digest: digests.length === 1 ? digests[0] : undefined,
    isPending,
  };
}

/** Whether gateways found the module. */
function resolvedCondition(facts: PluginFacts, report: PluginReport, isPending: boolean): Condition {
  const { modules, refusals } = report;
  const without = refusals.filter(({ hasModule }) => !hasModule);
  if (without.length > 0) {
    return condition("Resolved", "False", "ModuleUnavailable", refusalText(facts, without));
  }
  const digests = Object.entries(modules);
  if (digests.length === 1) return condition("Resolved", "True", "Resolved", digests[0]![0]);
  if (digests.length > 1) {
    const counts = digests.map(([digest, count]) => `${digest} (${gateways(count)})`);
    return condition("Resolved", "True", "ModulesDiffer", `gateways run ${counts.join(", ")}`);
  }
  if (isPending) return condition("Resolved", "Unknown", "Pending", "gateways are fetching the module");
  return condition("Resolved", "Unknown", "NotReported", "gateways do not say which module they run");
}

/** Whether every gateway runs this version. */
function programmedCondition(facts: PluginFacts, report: PluginReport): Condition {
  const { gateways: total, programmed, refused } = report;
  const verb = programmed === 1 || total === 1 ? "runs" : "run";
  const count = `${programmed} of ${gateways(total)} ${verb} it`;
  if (refused > 0) {
    const message = `${count}; ${gateways(refused)} refused it: ${refusalText(facts, report.refusals)}`;
    return condition("Programmed", "False", "Refused", message);
  }
  if (programmed < total) {
    return condition("Programmed", "False", "Pending", `${count}; the others have not answered yet`);
  }
  return condition("Programmed", "True", "Programmed", count);
}

function gateways(count: number): string {
  return count === 1 ? "1 gateway" : `${count} gateways`;
}

function refusalText({ holdsSecrets }: PluginFacts, refusals: PluginReport["refusals"]): string {
  const words = (reason: string) =>
    holdsSecrets
      ? "its words are in the agent's log only: the configuration holds values from Secrets"
      : reason;
  return refusals.map(({ gateway, reason }) => `${gateway}: ${words(reason)}`).join("; ");
}
