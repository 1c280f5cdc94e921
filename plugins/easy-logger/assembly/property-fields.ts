import { formatNumber, Property, quoteJson, RenamedProperty } from "@wasmline/plugin-sdk/assembly";
import { Exchange } from "./exchange";
import { Field } from "./field";
import { describeFlags } from "./flags";

const NANOSECONDS: f64 = 1000000;
const MISSING: i64 = i64.MIN_VALUE;

/** A property that is text. */
export class TextField extends Field {
  private property: Property;

  constructor(name: string, path: string) {
    super(name);
    this.property = new Property(path.split("."));
  }

  json(exchange: Exchange): string {
    const text = this.property.text();
    return text === null || text == "" ? "null" : quoteJson(text);
  }
}

/** A property that is a whole number. */
export class IntegerField extends Field {
  private property: Property;

  constructor(name: string, path: string) {
    super(name);
    this.property = new Property(path.split("."));
  }

  json(exchange: Exchange): string {
    const value = this.property.integer(MISSING);
    return value == MISSING ? "null" : value.toString();
  }
}

/** A property that is a duration, in milliseconds. */
export class DurationField extends Field {
  private property: Property;

  constructor(name: string, path: string) {
    super(name);
    this.property = new Property(path.split("."));
  }

  json(exchange: Exchange): string {
    const milliseconds = readMilliseconds(this.property);
    return milliseconds < 0 ? "null" : formatNumber(milliseconds);
  }
}

/** A duration to the microsecond; negative when the stream has none. */
export function readMilliseconds(property: Property): f64 {
  const value = property.integer(-1);
  return value < 0 ? -1 : Math.round((value as f64) / 1000) / 1000;
}

/** When the request began, in UTC. */
export class TimeField extends Field {
  private property: Property = new Property(["request", "time"]);

  json(exchange: Exchange): string {
    const value = this.property.integer(-1);
    return value < 0 ? "null" : quoteJson(new Date(value / (NANOSECONDS as i64)).toISOString());
  }
}

/** What the proxy thinks went wrong. */
export class FlagsField extends Field {
  private property: Property = new Property(["response", "flags"]);

  json(exchange: Exchange): string {
    const bits = this.property.integer(MISSING);
    return bits == MISSING ? "null" : quoteJson(describeFlags(bits));
  }
}

/** The route's or the cluster's name. */
export class RenamedField extends Field {
  constructor(
    name: string,
    private property: RenamedProperty,
  ) {
    super(name);
  }

  json(exchange: Exchange): string {
    const text = this.property.read();
    return text === null || text == "" ? "null" : quoteJson(text);
  }
}
