import { Header } from "../../../sdk/assembly";

/** Headers by lower-case name, each with its values in order. */
export class HeaderTable {
  private values: Map<string, string[]> = new Map<string, string[]>();

  constructor(headers: Header[]) {
    for (let i = 0; i < headers.length; i++) this.append(headers[i].name.toLowerCase(), headers[i].value);
  }

  has(name: string): bool {
    return this.values.has(name);
  }

  get(name: string): string[] {
    return this.has(name) ? this.values.get(name) : [];
  }

  set(name: string, values: string[]): void {
    this.values.set(name, values);
  }

  append(name: string, value: string): void {
    if (this.has(name)) this.get(name).push(value);
    else this.set(name, [value]);
  }

  remove(name: string): void {
    this.values.delete(name);
  }

  /** All lines, by name; the values of a name keep their order. */
  sorted(): Header[] {
    const names = this.values.keys().sort();
    const headers: Header[] = [];
    for (let i = 0; i < names.length; i++) {
      const values = this.get(names[i]);
      for (let j = 0; j < values.length; j++) headers.push(new Header(names[i], values[j]));
    }
    return headers;
  }
}
