import { type Cursor, type Decoder, pathOf } from "./decoder.ts";
import { mapOf, record, string } from "./decoders.ts";
import type { ConfigMap, Secret } from "./types.ts";

/** Base64 as Go's standard encoding takes it: padded, line breaks aside. */
const base64: Decoder<Uint8Array> = (value, at) => {
  const text = string(value, at)?.replace(/[\r\n]/g, "");
  if (text === undefined) return undefined;
  if (text.length % 4 === 0 && /^[A-Za-z\d+/]*={0,2}$/.test(text))
    return new Uint8Array(Buffer.from(text, "base64"));
  const hint = "encode it with `base64 -w0`, or write the plain text under stringData";
  at.problems.push({
    severity: "error",
    code: "INVALID_VALUE",
    message: "expected base64, found other text",
    path: pathOf(at),
    hint,
  });
  return undefined;
};

interface SecretFields {
  type?: string;
  data?: Record<string, Uint8Array>;
  stringData?: Record<string, string>;
}
const secretFields = record<SecretFields>({ type: string, data: mapOf(base64), stringData: mapOf(string) });

/** `type`, and `data` with `stringData` over it. Values never appear in problems. */
export function decodeSecretFields(value: unknown, at: Cursor): Pick<Secret, "type" | "data"> | undefined {
  const fields = secretFields(value, { ...at, secret: true });
  if (!fields) return undefined;
  const plain = Object.entries(fields.stringData ?? {}).map(
    ([key, text]) => [key, Buffer.from(text)] as const,
  );
  return {
    type: fields.type || "Opaque",
    data: {
      ...fields.data,
      ...Object.fromEntries(plain.map(([key, bytes]) => [key, new Uint8Array(bytes)])),
    },
  };
}

const configMapFields = record<Partial<Pick<ConfigMap, "data">>>({ data: mapOf(string) });

export function decodeConfigMapFields(value: unknown, at: Cursor): Pick<ConfigMap, "data"> | undefined {
  const fields = configMapFields(value, at);
  return fields && { data: fields.data ?? {} };
}
