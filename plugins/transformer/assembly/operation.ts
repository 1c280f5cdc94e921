import { HeaderTable } from "./header-table";

/** One change of one header. */
export abstract class Operation {
  abstract apply(headers: HeaderTable): void;
}

/** Removes a header. */
export class Remove extends Operation {
  constructor(private key: string) {
    super();
  }

  apply(headers: HeaderTable): void {
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

  apply(headers: HeaderTable): void {
    if (!headers.has(this.oldKey)) return;
    const values = headers.get(this.oldKey);
    headers.remove(this.oldKey);
    for (let i = 0; i < values.length; i++) headers.append(this.newKey, values[i]);
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

  apply(headers: HeaderTable): void {
    headers.set(this.key, [this.value]);
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

  apply(headers: HeaderTable): void {
    if (!headers.has(this.key)) headers.set(this.key, [this.value]);
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

  apply(headers: HeaderTable): void {
    headers.append(this.key, this.value);
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

  apply(headers: HeaderTable): void {
    if (headers.has(this.fromKey)) headers.set(this.toKey, headers.get(this.fromKey).slice());
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

  apply(headers: HeaderTable): void {
    const values = headers.get(this.key);
    if (values.length > 0) headers.set(this.key, this.keep(values));
  }

  private keep(values: string[]): string[] {
    const isSplit = this.strategy.startsWith("SPLIT_AND_");
    if (this.strategy == "RETAIN_UNIQUE") return values.filter((value, i, all) => all.indexOf(value) == i);
    const candidates = isSplit ? values[0].split(",") : values;
    const isLast = this.strategy == "RETAIN_LAST" || this.strategy == "SPLIT_AND_RETAIN_LAST";
    return [candidates[isLast ? candidates.length - 1 : 0]];
  }
}
