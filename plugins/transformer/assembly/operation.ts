import { HeaderMap } from "../../../sdk/assembly";

// Unlike Higress: headers that no operation is about stay where they are; there all are sorted by name, for which the whole
// map is read and written.
/** One change of one header. */
export abstract class Operation {
  abstract apply(headers: HeaderMap): void;
}

/** Removes a header. */
export class Remove extends Operation {
  constructor(private key: string) {
    super();
  }

  apply(headers: HeaderMap): void {
    headers.remove(this.key);
  }
}

/** Moves a header's values behind those of another name. */
export class Rename extends Operation {
  constructor(
    private oldKey: string,
    private newKey: string,
  ) {
    super();
  }

  apply(headers: HeaderMap): void {
    const values = headers.values(this.oldKey);
    if (values.length == 0) return;
    headers.remove(this.oldKey);
    for (let i = 0; i < values.length; i++) headers.add(this.newKey, values[i]);
  }
}

/** Sets the only value of a header. */
export class Replace extends Operation {
  constructor(
    private key: string,
    private value: string,
  ) {
    super();
  }

  apply(headers: HeaderMap): void {
    headers.set(this.key, this.value);
  }
}

/** Sets a header that is not there. */
export class Add extends Operation {
  constructor(
    private key: string,
    private value: string,
  ) {
    super();
  }

  apply(headers: HeaderMap): void {
    if (headers.get(this.key) === null) headers.add(this.key, this.value);
  }
}

/** Adds a value to a header. */
export class Append extends Operation {
  constructor(
    private key: string,
    private value: string,
  ) {
    super();
  }

  apply(headers: HeaderMap): void {
    headers.add(this.key, this.value);
  }
}

/** Copies a header's values over those of another name. */
export class Copy extends Operation {
  constructor(
    private fromKey: string,
    private toKey: string,
  ) {
    super();
  }

  apply(headers: HeaderMap): void {
    replaceValues(headers, this.toKey, headers.values(this.fromKey));
  }
}

/** Keeps some of a header's values: the first, the last, each different one, or a part of the first one. */
export class Dedupe extends Operation {
  constructor(
    private key: string,
    private strategy: string,
  ) {
    super();
  }

  apply(headers: HeaderMap): void {
    const values = headers.values(this.key);
    if (values.length > 0) replaceValues(headers, this.key, this.keep(values));
  }

  private keep(values: string[]): string[] {
    const isSplit = this.strategy.startsWith("SPLIT_AND_");
    if (this.strategy == "RETAIN_UNIQUE") return values.filter((value, i, all) => all.indexOf(value) == i);
    const candidates = isSplit ? values[0].split(",") : values;
    const isLast = this.strategy == "RETAIN_LAST" || this.strategy == "SPLIT_AND_RETAIN_LAST";
    return [candidates[isLast ? candidates.length - 1 : 0]];
  }
}

/** Sets all values of a header; none leave it as it is. */
function replaceValues(headers: HeaderMap, key: string, values: string[]): void {
  for (let i = 0; i < values.length; i++) {
    if (i == 0) headers.set(key, values[0]);
    else headers.add(key, values[i]);
  }
}
