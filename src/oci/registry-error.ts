import { STATUS_CODES } from "node:http";
import { SystemError } from "../system-error.ts";
import { type HttpAnswer, retryAfterOf } from "./http.ts";
import { formatReference, type Reference } from "./reference.ts";

/** What was asked of a registry, for messages. */
export interface Asked {
  readonly reference: Reference;
  readonly doing: string;
  readonly hasCredentials: boolean;
  /** `pull` unless given. */
  readonly action?: "pull" | "push";
}

/** True for the statuses by which a registry refuses whoever asks. */
export function isDenied(status: number): boolean {
  return status === 401 || status === 403;
}

/** The SystemError for an answer that is not 200, with what the registry says and what to do. */
export function statusFailure(answer: HttpAnswer, asked: Asked): SystemError {
  const { status, url, body } = answer;
  const said = readErrors(body);
  const from = url.host === asked.reference.registry ? "" : ` from ${url.host}`;
  const found = `${status} ${STATUS_CODES[status] ?? ""}`.trim() + from + (said && ` (${said})`);
  const wait = answer
    .header("retry-after")[0]
    ?.replace(/[^\w ,:-]/g, "")
    .slice(0, 40);
  const advice = advise(status, asked) + (status === 429 && wait ? ` (Retry-After: ${wait})` : "");
  const message = `${asked.doing}: ${found}${advice && `: ${advice}`}`;
  return new SystemError(codeFor(status), message, undefined, retryAfterOf(answer));
}

function codeFor(status: number) {
  if (isDenied(status)) return "unauthorized";
  return status === 404 ? "not-found" : "registry";
}

function advise(status: number, { reference, hasCredentials, action = "pull" }: Asked): string {
  const { registry } = reference;
  if (isDenied(status) && !hasCredentials) {
    const remedy = action === "pull" ? "add an imagePullSecret or log in" : "log in";
    return `no credentials for host ${registry}; ${remedy}`;
  }
  if (status === 401) return `the credentials for host ${registry} were refused; check them`;
  if (status === 403)
    return `the credentials for host ${registry} do not allow to ${action} ${reference.repository}`;
  if (action === "push") return advisePush(status, reference);
  if (status === 404)
    return `no ${formatReference(reference)} in the registry; check repository, tag and digest`;
  if (status === 429) return "the registry limits how often it is asked; wait, or log in";
  return status >= 500 ? "the registry fails; look into its log" : "";
}

function advisePush(status: number, { registry, repository }: Reference): string {
  if (status === 404) return `${registry} takes nothing for ${repository}; make the repository there`;
  if (status === 405) return `${registry} only serves images; push to another registry`;
  if (status === 413)
    return "the registry, or a proxy before it, takes less at once; give a smaller --chunk-bytes";
  if (status === 429) return "the registry limits how often it is asked; wait";
  return status >= 500 ? "the registry fails; look into its log" : "";
}

/** `CODE: message` of the first error in the distribution API's form; "" for anything else. */
function readErrors(body: Uint8Array): string {
  try {
    const { errors } = JSON.parse(Buffer.from(body).toString()) as { errors?: unknown };
    const [first] = Array.isArray(errors) ? errors : [];
    return [first?.code, first?.message]
      .filter((part) => typeof part === "string")
      .join(": ")
      .replace(/\p{Cc}+/gu, " ")
      .slice(0, 200);
  } catch {
    return "";
  }
}
