// `import { Plugin } from "@wasmline/plugin-sdk"`
export * from "./assembly";
