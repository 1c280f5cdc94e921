/** The API server answered, and not with success: the status code and what its Status object says. */
export class KubernetesError extends Error {
  /** The HTTP status code. */
  readonly status: number;
  /** The Status object's reason, such as `NotFound`, `Conflict` or `Expired`; empty where there is none. */
  readonly reason: string;
  /** How long the server asks to be left alone, in milliseconds; undefined where it does not say. */
  readonly retryAfterMs: number | undefined;
  /** The Status object's causes: which field, and what is wrong with it. */
  readonly causes: readonly StatusCause[];

  constructor(status: number, reason: string, message: string, more: KubernetesErrorDetails = {}) {
    super(message);
    this.name = "KubernetesError";
    this.status = status;
    this.reason = reason;
    this.retryAfterMs = more.retryAfterMs;
    this.causes = more.causes ?? [];
  }
}

export interface KubernetesErrorDetails {
  readonly retryAfterMs?: number;
  readonly causes?: readonly StatusCause[];
}

/** One cause of a Status object (`meta/v1` StatusCause). */
export interface StatusCause {
  readonly reason?: string;
  readonly message?: string;
  readonly field?: string;
}

/** A `meta/v1` Status, as far as we read it: everything may be missing, since a proxy in between may have answered. */
interface Status {
  readonly kind?: string;
  readonly message?: string;
  readonly reason?: string;
  readonly code?: number;
  readonly details?: { readonly retryAfterSeconds?: number; readonly causes?: readonly StatusCause[] };
}

/** What was asked for, for the message. */
export interface Asked {
  readonly method: string;
  readonly path: string;
  /** `watch` where it is one, which RBAC tells apart from `get` and `list`. */
  readonly watch?: boolean;
}

/** What asks for more, such as a proxy for an hour, is asked sooner: there are edits to hear of. */
const longestRetryAfterS = 60;

/** Makes an error of an answer: its body is a Status object, or whatever a proxy wrote. `retryAfter` is the header's text. */
export function readFailure(asked: Asked, code: number, body: string, retryAfter?: string): KubernetesError {
  return failureOf(asked, parseStatus(body) ?? { message: body.trim().slice(0, 300) }, code, retryAfter);
}

/** Makes an error of the object of a watch's ERROR event. */
export function readErrorEvent(path: string, object: unknown): KubernetesError {
  const status = isStatus(object) ? object : {};
  return failureOf({ method: "GET", path, watch: true }, status, status.code ?? 500);
}

function failureOf(asked: Asked, status: Status, code: number, retryAfter?: string): KubernetesError {
  const { message, reason = "", details } = status;
  const seconds = Number(retryAfter ?? details?.retryAfterSeconds ?? Number.NaN);
  const said = message || `status ${code}`;
  const text = `cannot ${verbOf(asked)} ${asked.path}: ${said}${adviceFor(asked, code)}`;
  return new KubernetesError(code, reason, text, {
    ...(seconds >= 0 && { retryAfterMs: Math.min(seconds, longestRetryAfterS) * 1000 }),
    causes: details?.causes ?? [],
  });
}

function parseStatus(body: string): Status | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return isStatus(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isStatus(value: unknown): value is Status {
  return typeof value === "object" && value !== null && (value as Status).kind === "Status";
}

/** The verb that RBAC knows the request by. */
function verbOf({ method, path, watch }: Asked): string {
  if (watch) return "watch";
  const named = readResource(path)?.name !== undefined;
  const verbs: Readonly<Record<string, string>> = {
    GET: named ? "get" : "list",
    POST: "create",
    PUT: "update",
    PATCH: "patch",
    DELETE: named ? "delete" : "deletecollection",
  };
  return verbs[method] ?? method.toLowerCase();
}

function adviceFor(asked: Asked, code: number): string {
  if (code === 401) return " (the credentials are not valid, or no longer)";
  const resource = code === 403 ? readResource(asked.path) : undefined;
  if (!resource) return "";
  const { group, plural, namespace } = resource;
  const where = namespace ? `a Role in namespace ${namespace} or a ClusterRole` : "a ClusterRole";
  return (
    ` (missing: ${where} with the rule ` +
    `{apiGroups: ["${group}"], resources: ["${plural}"], verbs: ["${verbOf(asked)}"]})`
  );
}

/** What a path names: `/api/v1/namespaces/a/secrets/b`, `/apis/group/v1/wasmplugins`. */
function readResource(path: string) {
  const found =
    /^\/(?:api\/[^/]+|apis\/([^/]+)\/[^/]+)(?:\/namespaces\/([^/]+)(?=\/.))?\/([^/]+)(?:\/([^/]+)(?:\/([^/]+))?)?$/.exec(
      path,
    );
  if (!found) return undefined;
  const [, group = "", namespace, plural, name, subresource] = found;
  return { group, namespace, plural: subresource ? `${plural}/${subresource}` : plural!, name };
}
