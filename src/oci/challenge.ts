/** One scheme of a `WWW-Authenticate` header; names of scheme and parameters are lower case. */
export interface Challenge {
  readonly scheme: string;
  readonly parameters: Readonly<Record<string, string>>;
}

const token = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y;

/** Parses `WWW-Authenticate` headers (RFC 9110 §11.6.1), each of which may hold several challenges. Stops at what it does not understand. */
export function parseChallenges(headers: readonly string[]): readonly Challenge[] {
  return headers.flatMap(parseHeader);
}

function parseHeader(text: string): Challenge[] {
  const challenges: { scheme: string; parameters: Record<string, string> }[] = [];
  let at = 0;
  const take = (pattern: RegExp) => {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (found) at = pattern.lastIndex;
    return found;
  };
  while (at < text.length) {
    take(/[\s,]*/y);
    const name = take(token)?.[0].toLowerCase();
    if (name === undefined) break;
    const value = take(/\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/y);
    const last = challenges.at(-1);
    if (value && last) last.parameters[name] = (value[1] ?? value[2] ?? "").replace(/\\(.)/g, "$1");
    else if (value || text[at] === "=") break;
    else challenges.push({ scheme: name, parameters: {} });
  }
  return challenges;
}
