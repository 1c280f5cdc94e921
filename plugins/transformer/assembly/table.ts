/** Values by key, as of headers, of a query or of a form. */
export abstract class Table {
  abstract has(key: string): bool;

  /** The values of a key; none when it is not there. */
  abstract get(key: string): string[];

  abstract set(key: string, values: string[]): void;

  abstract add(key: string, value: string): void;

  abstract remove(key: string): void;

  /** The first value of a key; "" when there is none. */
  first(key: string): string {
    const values = this.get(key);
    return values.length > 0 ? values[0] : "";
  }
}
