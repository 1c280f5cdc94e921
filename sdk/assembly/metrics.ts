import { proxy_define_metric, proxy_get_metric, proxy_increment_metric, proxy_record_metric } from "./abi";
import { MetricType, Status } from "./enums";
import { numberSlot, sizeSlot } from "./memory";
import { firstArgument } from "./text";

const UNDEFINED: i64 = -1;

/**
 * A metric of the proxy. It is defined when it is first used, since modules may not do so while they are loaded. Make one for
 * the plugin and not one for each stream: some proxies keep every definition.
 */
export abstract class Metric {
  private id: i64 = UNDEFINED;

  constructor(
    readonly type: MetricType,
    readonly name: string,
  ) {}

  protected add64(offset: i64): bool {
    return this.define() && proxy_increment_metric(this.id as u32, offset) == Status.Ok;
  }

  protected record64(value: u64): bool {
    return this.define() && proxy_record_metric(this.id as u32, value) == Status.Ok;
  }

  protected read64(): u64 {
    if (!this.define() || proxy_get_metric(this.id as u32, numberSlot()) != Status.Ok) return 0;
    return load<u64>(numberSlot());
  }

  private define(): bool {
    if (this.id != UNDEFINED) return true;
    const text = firstArgument.put(this.name);
    if (proxy_define_metric(this.type, text, firstArgument.size, sizeSlot()) != Status.Ok) return false;
    this.id = load<u32>(sizeSlot());
    return true;
  }
}

/** A number that only grows. */
export class Counter extends Metric {
  constructor(name: string) {
    super(MetricType.Counter, name);
  }

  /** Adds `by`, which must be more than 0. */
  add(by: u64 = 1): bool {
    return this.add64(by as i64);
  }

  /** The sum, of all threads. */
  get value(): u64 {
    return this.read64();
  }
}

/** A number that goes up and down. */
export class Gauge extends Metric {
  constructor(name: string) {
    super(MetricType.Gauge, name);
  }

  set(value: u64): bool {
    return this.record64(value);
  }

  /** Adds `by`, which may be less than 0. */
  add(by: i64): bool {
    return this.add64(by);
  }

  get value(): u64 {
    return this.read64();
  }
}

/** How values are spread. */
export class Histogram extends Metric {
  constructor(name: string) {
    super(MetricType.Histogram, name);
  }

  /** Adds a value. Its unit is the name's affair, such as `_ms`. */
  record(value: u64): bool {
    return this.record64(value);
  }
}
