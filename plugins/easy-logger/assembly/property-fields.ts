import { Property, quoteJson, RenamedProperty } from "@wasmline/plugin-sdk/assembly";
import { ByteWriter } from "@wasmline/plugin-sdk/assembly/byte-writer";
import { Exchange } from "./exchange";
import { Field } from "./field";
import { describeFlags } from "./flags";

const NANOSECONDS: i64 = 1000000;
const MISSING: i64 = i64.MIN_VALUE;

/** A property that is text. */
export class TextField extends Field {
  private property: Property;

  constructor(name: string, path: string) {
    super(name);
    this.property = new Property(path.split("."));
  }

  write(line: ByteWriter, exchange: Exchange): void {
    writeText(line, this.property.text());
  }
}

/** A property that is a whole number. */
export class IntegerField extends Field {
  private property: Property;

  constructor(name: string, path: string) {
    super(name);
    this.property = new Property(path.split("."));
  }

  write(line: ByteWriter, exchange: Exchange): void {
    const value = this.property.integer(MISSING);
    line.pushText(value == MISSING ? "null" : value.toString());
  }
}

/** A property that is a duration, in milliseconds. */
export class DurationField extends Field {
  private property: Property;

  constructor(name: string, path: string) {
    super(name);
    this.property = new Property(path.split("."));
  }

  write(line: ByteWriter, exchange: Exchange): void {
    const microseconds = readMicroseconds(this.property);
    if (microseconds < 0) line.pushText("null");
    else pushThousandths(line, microseconds);
  }
}

/** A duration, rounded; negative when the stream has none. */
function readMicroseconds(property: Property): i64 {
  const value = property.integer(-1);
  return value < 0 ? -1 : value / 1000 + (value % 1000 >= 500 ? 1 : 0);
}

/** A duration to the microsecond; negative when the stream has none. */
export function readMilliseconds(property: Property): f64 {
  const microseconds = readMicroseconds(property);
  return microseconds < 0 ? -1 : (microseconds as f64) / 1000;
}

/** Writes a number of thousandths: 1500 is `1.5`. */
function pushThousandths(line: ByteWriter, value: u64): void {
  line.pushInteger(value / 1000);
  let rest = value % 1000;
  if (rest == 0) return;
  line.push(0x2e);
  for (let place: u64 = 100; rest > 0; place /= 10) {
    line.push(0x30 + ((rest / place) as u8));
    rest %= place;
  }
}

function writeText(line: ByteWriter, text: string | null): void {
  line.pushText(text === null || text == "" ? "null" : quoteJson(text));
}

/** When the request began, in UTC. */
export class TimeField extends Field {
  private property: Property = new Property(["request", "time"]);

  write(line: ByteWriter, exchange: Exchange): void {
    const value = this.property.integer(-1);
    line.pushText(value < 0 ? "null" : quoteJson(new Date(value / NANOSECONDS).toISOString()));
  }
}

/** What the proxy thinks went wrong. */
export class FlagsField extends Field {
  private property: Property = new Property(["response", "flags"]);

  write(line: ByteWriter, exchange: Exchange): void {
    const bits = this.property.integer(MISSING);
    line.pushText(bits == MISSING ? "null" : quoteJson(describeFlags(bits)));
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

  write(line: ByteWriter, exchange: Exchange): void {
    writeText(line, this.property.read());
  }
}
