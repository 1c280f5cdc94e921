/** A configuration that is not taken: which field, and why. */
export class RefusedConfig extends Error {
  override readonly name = "RefusedConfig";
  readonly field: string;
  readonly reason: string;

  constructor(field: string, reason: string) {
    super(field === "" ? reason : `${field}: ${reason}`);
    this.field = field;
    this.reason = reason;
  }
}

/** Refuses a configuration for one of its fields. */
export function refuse(field: string, reason: string): never {
  throw new RefusedConfig(field, reason);
}

/** Runs a part of a compilation; what it refuses is named below `field`. */
export function within<T>(field: string, compile: () => T): T {
  try {
    return compile();
  } catch (error) {
    if (!(error instanceof RefusedConfig)) throw error;
    const inner = error.field === "" || error.field.startsWith("[") ? error.field : `.${error.field}`;
    throw new RefusedConfig(`${field}${inner}`, error.reason);
  }
}

/** Compiles the items of a list; what is refused is named by its place. */
export function withinEach<T, R>(
  field: string,
  items: readonly T[],
  compile: (item: T, index: number) => R,
): R[] {
  return items.map((item, index) => within(`${field}[${index}]`, () => compile(item, index)));
}
