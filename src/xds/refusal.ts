import { create, fromJson } from "@bufbuild/protobuf";
import { anyPack, anyUnpack, StructSchema } from "@bufbuild/protobuf/wkt";
import { type Status, StatusSchema } from "../gen/google/rpc/status_pb.ts";

/** Why resources of a response are not in effect, by name; `stillOpen` where that is not known yet. */
export type Reasons = ReadonlyMap<string, string>;

/** Stands for the reason of what is being fetched: it is neither in effect nor refused. */
export const stillOpen = "";

/** No reasons: all is in effect. */
export const noReasons: Reasons = new Map();

/** Whether something is still being fetched. */
export function isOpen(reasons: Reasons): boolean {
  return [...reasons.values()].includes(stillOpen);
}

/** Whether reasons say the same. */
export function sameReasons(a: Reasons, b: Reasons): boolean {
  return a.size === b.size && [...a].every(([name, reason]) => b.get(name) === reason);
}

/** What a client said against a response. */
export interface Refusal {
  readonly message: string;
  /** Which resources it is about; undefined from a client that does not say, and then it is about all of them. */
  readonly reasons: Reasons | undefined;
}

/**
 * The error detail of a NACK, undefined where nothing is to be said. Beside the text for people it has a Struct with the
 * reason for each name, null for what is still open, so that a response of many resources is refused for those only.
 */
export function refusalStatus(reasons: Reasons): Status | undefined {
  if (reasons.size === 0) return undefined;
  const fields = [...reasons].map(([name, reason]) => [name, reason === stillOpen ? null : reason] as const);
  return create(StatusSchema, {
    code: 13,
    message: describeReasons(reasons),
    details: [anyPack(StructSchema, fromJson(StructSchema, Object.fromEntries(fields)))],
  });
}

/** Reasons as text. */
export function describeReasons(reasons: Reasons): string {
  return [...reasons].map(([name, reason]) => `${name}: ${reason || "is still being fetched"}`).join("; ");
}

/** Reads a NACK's error detail. */
export function readRefusal(status: Status | undefined): Refusal | undefined {
  if (!status) return undefined;
  return { message: status.message || "refused without a reason", reasons: reasonsOf(status) };
}

function reasonsOf({ details }: Status): Reasons | undefined {
  const [fields] = details.map((detail) => anyUnpack(detail, StructSchema)?.fields).filter((f) => f);
  if (!fields) return undefined;
  const reasons = Object.entries(fields).map(([name, { kind }]) => {
    return [name, kind.case === "stringValue" ? kind.value : stillOpen] as const;
  });
  return new Map(reasons);
}

/** Whether a client has said more than that it is still at work. */
export function isRefused({ reasons }: Refusal): boolean {
  return !reasons || [...reasons.values()].some((reason) => reason !== stillOpen);
}
