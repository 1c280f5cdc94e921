import { Facts, Source } from "./facts";
import { JsonPath } from "./json/path";
import { Pattern } from "./pattern";

/** What an operation does. */
export enum Operate {
  Remove,
  Rename,
  Replace,
  Add,
  Append,
  Map,
  Dedupe,
}

/** Which of several values stay. */
export enum Strategy {
  First,
  Last,
  Unique,
  FirstOfSplit,
  LastOfSplit,
}

/** One change of one key. */
export class Operation {
  value: string = "";
  pattern: Pattern | null = null;
  strategy: Strategy = Strategy.First;
  /** Where `map` takes the value from. */
  source: Source = Source.Headers;
  /** Of a body: the keys as paths into JSON. */
  path: JsonPath | null = null;
  newPath: JsonPath | null = null;
  /** Of a body: whether the value is a text in JSON. */
  isText: bool = true;
  /** The value in JSON when it is no text; null when it is not of its type. */
  json: ArrayBuffer | null = null;

  constructor(
    readonly operate: Operate,
    /** The key that is changed, or from which the value comes. */
    readonly key: string,
    /** The key that the value goes to. */
    readonly newKey: string,
  ) {}

  /** The value for a message. */
  text(facts: Facts): string {
    const pattern = this.pattern;
    return pattern === null ? this.value : pattern.apply(facts);
  }
}
