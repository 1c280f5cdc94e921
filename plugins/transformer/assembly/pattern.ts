import { Regex } from "@wasmline/plugin-sdk/assembly/regex/regex";
import { RegexTemplate } from "@wasmline/plugin-sdk/assembly/regex/template";
import { Facts } from "./facts";

/** Gives a value that depends on the request's host or path. */
export class Pattern {
  private template: RegexTemplate;

  constructor(
    private isHost: bool,
    private regex: Regex,
    private value: string,
  ) {
    this.template = regex.template(value);
  }

  /** The host or path with its matches replaced; the value as it is written when there is no match. */
  apply(facts: Facts): string {
    const replaced = this.regex.replaceAll(this.isHost ? facts.host : facts.path, this.template);
    return replaced === null ? this.value : replaced;
  }
}
