import { readFileSync } from "node:fs";
import type { DataSource } from "../gen/envoy/config/core/v3/base_pb.ts";
import { errorText } from "../system-error.ts";
import { refuse } from "./refused-config.ts";

/** The bytes that a DataSource stands for, read now. */
export function dataBytes({ specifier: by }: DataSource): Uint8Array {
  switch (by.case) {
    case "inlineBytes":
      return by.value;
    case "inlineString":
      return Buffer.from(by.value);
    case "filename":
      try {
        return readFileSync(by.value);
      } catch (error) {
        return refuse("filename", errorText(error));
      }
    case "environmentVariable": {
      const value = process.env[by.value];
      return value === undefined
        ? refuse("environment_variable", `${by.value} is not set`)
        : Buffer.from(value);
    }
    default:
      return refuse("specifier", "is required");
  }
}
