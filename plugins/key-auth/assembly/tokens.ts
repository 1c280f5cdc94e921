import { parseQuery, requestHeaders } from "@wasmline/plugin-sdk/assembly";
import { KeyAuthConfig } from "./config";

/** Keys that the request carries: those in headers, or those in the query if headers are not looked at. */
export function readTokens(config: KeyAuthConfig): string[] {
  if (config.inHeader) return readHeaderTokens(config.keys);
  return config.inQuery ? readQueryTokens(config.keys) : [];
}

function readHeaderTokens(keys: string[]): string[] {
  const tokens: string[] = [];
  for (let i = 0; i < keys.length; i++) {
    const value = requestHeaders.get(keys[i]);
    if (value !== null && value != "") tokens.push(value);
  }
  return tokens;
}

function readQueryTokens(keys: string[]): string[] {
  const tokens: string[] = [];
  const path = requestHeaders.get(":path");
  if (path === null) return tokens;
  const parameters = parseQuery(path);
  for (let i = 0; i < keys.length; i++) {
    for (let j = 0; j < parameters.length; j++) {
      if (parameters[j].name == keys[i]) tokens.push(parameters[j].value);
    }
  }
  return tokens;
}
