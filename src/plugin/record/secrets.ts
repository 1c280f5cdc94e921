import { bytesOfText } from "../case-text.ts";

/** What hides secrets in texts whose characters are bytes. */
export interface Secrets {
  inHeader(name: string, value: string): string;
  /** In fields of JSON, whole or not, and of forms. */
  inBody(text: string): string;
  /** In a configuration: lists and objects below a name too. */
  inJson(text: string): string;
  /** Replaces what was found so far wherever it stands. */
  readonly everywhere: (text: string) => string;
  /** The names that secrets had. */
  names(): readonly string[];
}

export interface SecretNames {
  readonly keep: readonly string[];
  readonly redact: readonly string[];
}

/** What sounds like a secret. */
const soundsSecret =
  /authorization|cookie|token|secret|passw|credential|api[-_]?key|access[-_]?key|private[-_]?key|session|signature|client-cert|(^|[-_])(auth|jwt|sid|sig|pwd)$/i;
/** Shorter ones stand in other words too. */
const shortest = 4;
const jsonField = /"((?:[^"\\]|\\.){1,200})"(\s*:\s*)(?:"((?:[^"\\]|\\.)*)"?|(-?\d[\d.eE+-]*))/g;

export function createSecrets({ keep, redact }: SecretNames): Secrets {
  const kept = new Set(keep.map((name) => name.toLowerCase()));
  const wanted = new Set(redact.map((name) => name.toLowerCase()));
  const words = new Map<string, string>();
  const names = new Set<string>();
  return {
    inHeader(name, value) {
      if (name === ":path") return inQuery(value);
      if (!isSecret(name)) return name === "referer" ? inQuery(value) : value;
      if (name === "cookie")
        return value.replace(/(=)([^;]*)/g, (_all, sign, text) => sign + hide(name, text));
      if (name === "set-cookie")
        return value.replace(/^([^=;]*=)([^;]*)/, (_all, sign, text) => sign + hide(name, text));
      return hideValue(name, value);
    },
    inBody: (text) =>
      inForm(
        text.replace(jsonField, (all, name: string, colon: string, value?: string, number?: string) => {
          if (!isSecret(name)) return all;
          if (number !== undefined) return `"${name}"${colon}0`;
          return `"${name}"${colon}"${hideValue(name, value ?? "")}${all.endsWith('"') ? '"' : ""}`;
        }),
      ),
    inJson(text) {
      try {
        const value: unknown = JSON.parse(Buffer.from(text, "latin1").toString());
        const hidden = JSON.stringify(walk("", value, false));
        return hidden === JSON.stringify(value) ? text : bytesOfText(hidden);
      } catch {
        return this.inBody(text);
      }
    },
    everywhere(text) {
      const found = [...words].filter(([secret]) => secret.length >= shortest && text.includes(secret));
      found.sort(([a], [b]) => b.length - a.length);
      return found.reduce((left, [secret, word]) => left.replaceAll(secret, word), text);
    },
    names: () => [...names].sort(),
  };

  function isSecret(name: string): boolean {
    const lower = name.toLowerCase();
    return !kept.has(lower) && (wanted.has(lower) || soundsSecret.test(lower));
  }

  /** The scheme of credentials is none of the secret. */
  function hideValue(name: string, value: string): string {
    const scheme = /authorization$/i.test(name) ? (/^[\w-]+ +(?=\S)/.exec(value)?.[0] ?? "") : "";
    return scheme + hide(name, value.slice(scheme.length));
  }

  function hide(name: string, secret: string): string {
    if (secret === "" || /^redacted-\d+$/.test(secret)) return secret;
    names.add(name);
    const plain = decoded(secret);
    const word = words.get(secret) ?? words.get(plain) ?? `redacted-${new Set(words.values()).size + 1}`;
    words.set(secret, word);
    words.set(plain, word);
    return word;
  }

  function inQuery(path: string): string {
    const at = path.indexOf("?");
    return at < 0 ? path : path.slice(0, at + 1) + inForm(path.slice(at + 1));
  }

  function inForm(text: string): string {
    return text.replace(
      /(^|&)([^=&\s"{}]{1,200})=([^&\s"]*)/g,
      (all, sign: string, name: string, value: string) =>
        isSecret(decoded(name)) ? `${sign}${name}=${hide(decoded(name), value)}` : all,
    );
  }

  function walk(name: string, value: unknown, hidden: boolean): unknown {
    if (typeof value === "string") return hidden ? hide(name, bytesOfText(value)) : value;
    if (Array.isArray(value)) return value.map((each) => walk(name, each, hidden));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, each]) => [key, walk(key, each, hidden || isSecret(key))]),
    );
  }
}

/** A parameter without its escapes, as bytes. */
function decoded(text: string): string {
  return text
    .replaceAll("+", " ")
    .replace(/%([0-9a-f]{2})/gi, (_all, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}
