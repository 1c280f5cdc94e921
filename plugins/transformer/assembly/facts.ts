import { HeaderTable } from "./header-table";
import { KeyValues } from "./key-values";
import { Table } from "./table";

/** What operations can look at in a message. */
export class Facts {
  /** Null in responses. */
  querys: KeyValues | null = null;
  /** A body that is a form; null for another. */
  form: KeyValues | null = null;
  /** A body that is JSON, as it came; null for another. */
  json: ArrayBuffer | null = null;

  constructor(
    /** Of the request, as it came. */
    readonly host: string,
    readonly path: string,
    readonly headers: HeaderTable,
  ) {}

  /** Values by key that a source has; null for JSON, and for what this message does not have. */
  table(source: Source): Table | null {
    if (source == Source.Headers) return this.headers;
    return source == Source.Querys ? this.querys : this.form;
  }
}

/** Parts of a message. */
export enum Source {
  Headers,
  Querys,
  Body,
}
