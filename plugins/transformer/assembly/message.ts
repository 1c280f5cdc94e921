import { Action, Body, HeaderMap, logWarn, textOf } from "@wasmline/plugin-sdk/assembly";
import { JsonChange } from "./change-json";
import { changeTable } from "./change-table";
import { TransformerConfig } from "./config";
import { Facts } from "./facts";
import { prettyJson } from "./json/pretty";
import { HeaderTable } from "./header-table";
import { KeyValues, ofQuery } from "./key-values";
import { BodyKind, MediaType } from "./media-type";
import { ReadBody, readBody } from "./read-body";
import { Rules } from "./rules";
import { encodeForm, isParsableUrl, withQuery } from "./url";

/** A request or a response on its way through the rules of its direction. */
export class Message {
  private facts: Facts;
  /** Of the body; null when no rule asks for it. */
  private type: MediaType | null = null;
  private readsBody: bool = false;
  /** Whether headers wait for the body. */
  private waits: bool = false;

  constructor(
    private isRequest: bool,
    private strict: bool,
    private rules: Rules,
    private body: Body,
    table: HeaderTable,
    host: string,
    path: string,
  ) {
    const facts = new Facts(host, path, table);
    if (isRequest && rules.usesQuery) facts.querys = ofQuery(path);
    this.facts = facts;
    if (rules.needsBody) this.type = new MediaType(table.first("content-type"));
  }

  /** Changes the headers, or says that they have to wait for the body. */
  begin(endOfStream: bool): Action {
    if (this.strict && this.isRequest && !isParsableUrl(this.facts.path)) return Action.Continue;
    const isChangeable = this.isChangeable();
    if (isChangeable && this.rules.body.length > 0) this.facts.headers.remove("content-length");
    this.readsBody = !endOfStream && isChangeable && this.isPlain();
    this.waits = this.readsBody && this.rules.waitsForBody;
    if (this.waits) return Action.Pause;
    this.changeHead();
    return Action.Continue;
  }

  /** A piece of the body is there: it waits for the last one. */
  continueBody(endOfStream: bool): Action {
    if (!this.readsBody) return Action.Continue;
    if (!endOfStream) return Action.Pause;
    this.finish();
    return Action.Continue;
  }

  // Unlike Higress: headers that wait for a body which cannot be read are changed without it, unless `strict` is set. There
  // a broken body is a way past all rules.
  /** Changes what has waited for the whole body, and the body. */
  finish(): void {
    if (!this.readsBody) return;
    this.readsBody = false;
    const read = this.readBody();
    if (this.waits && (read !== null || !this.strict)) this.changeHead();
    if (read !== null && this.rules.body.length > 0) this.changeBody(read);
  }

  /** Reads the body into the facts; null when there is none, or one that cannot be changed. */
  private readBody(): ReadBody | null {
    const bytes = this.body.bytes();
    if (bytes === null || bytes.byteLength == 0) return null;
    const read = readBody(bytes, this.type!, this.facts);
    if (read.error == "") return read;
    this.warn(read.error);
    return null;
  }

  /** Whether the rules ask for the body, and it is of a kind that can be changed. */
  private isChangeable(): bool {
    const type = this.type;
    if (type === null || (this.strict && !type.isWellFormed)) return false;
    return type.kind == BodyKind.Json || (this.isRequest && type.kind != BodyKind.Other);
  }

  /** Whether the body is what its type says, and has an end. */
  private isPlain(): bool {
    const encoding = this.facts.headers.first("content-encoding");
    return (encoding == "" || encoding == "identity") && !this.facts.headers.has("upgrade");
  }

  private changeHead(): void {
    const table = this.facts.headers;
    changeTable(table, this.rules.headers, this.facts);
    const querys = this.facts.querys;
    if (querys !== null && this.rules.querys.length > 0) {
      changeTable(querys, this.rules.querys, this.facts);
      table.set(":path", [withQuery(this.facts.path, textOf(encodeForm(querys)))]);
    }
    table.write();
  }

  private changeBody(read: ReadBody): void {
    const json = this.facts.json;
    if (json !== null) {
      const change = new JsonChange(json, this.facts, !this.strict);
      const error = change.run(this.rules.body);
      if (error == "") this.body.replace(prettyJson(change.json));
      else this.warn(error);
      return;
    }
    const form = this.facts.form;
    if (form === null) return;
    changeTable(form, this.rules.body, this.facts);
    const multipart = read.multipart;
    this.body.replace(multipart === null ? encodeForm(form) : multipart.write(this.strict));
  }

  private warn(reason: string): void {
    logWarn(`the ${this.isRequest ? "request" : "response"}'s body is left as it is: ${reason}`);
  }
}

/** Reads the headers of the current request; null when it has no host or path. */
export function beginRequest(
  config: TransformerConfig,
  rules: Rules,
  headers: HeaderMap,
  body: Body,
): Message | null {
  const table = new HeaderTable(headers);
  if (!table.has(":authority") || !table.has(":path")) return null;
  const needsPath = config.strict || rules.hasPatterns || rules.usesQuery;
  const host = rules.hasPatterns ? table.first(":authority") : "";
  const path = needsPath ? table.first(":path") : "";
  return new Message(true, config.strict, rules, body, table, host, path);
}
