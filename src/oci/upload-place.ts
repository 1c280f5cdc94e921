import { SystemError } from "../system-error.ts";
import type { HttpAnswer } from "./http.ts";

/**
 * Where an upload goes on: the `Location` of a registry's answer, which may be relative.
 * @throws SystemError `registry`
 */
export function findUploadPlace(answer: HttpAnswer, doing: string): URL {
  const location = answer.header("location")[0] ?? "";
  const place = URL.canParse(location, answer.url.href) ? new URL(location, answer.url) : undefined;
  const isSafe =
    place?.protocol === "https:" || (place?.protocol === "http:" && answer.url.protocol === "http:");
  if (place && location !== "" && isSafe) return place;
  const found =
    location === "" ? "nowhere" : place === undefined ? "to no URL" : `to ${place.protocol}//${place.host}`;
  const message = `${doing}: ${answer.url.host} leads the upload ${found}; expected ${answer.url.protocol}//`;
  throw new SystemError("registry", `${message} (a proxy before it may have to set X-Forwarded-Proto)`);
}

/** The place with the digest by which an upload ends. What a registry has signed in the query stays as it is. */
export function withDigest(place: URL, digest: string): URL {
  const url = new URL(place);
  url.search += `${url.search === "" ? "?" : "&"}digest=${encodeURIComponent(digest)}`;
  return url;
}

/** How much of an upload a registry has, by the `Range` of its answer; undefined where it does not say. */
export function receivedBytes(answer: HttpAnswer): number | undefined {
  const [, end] = /^(?:bytes=)?0-(\d+)$/.exec(answer.header("range")[0] ?? "") ?? [];
  // Registries write `0-0` for nothing, which the specification has no form for.
  return end === undefined ? undefined : Number(end) === 0 ? 0 : Number(end) + 1;
}
