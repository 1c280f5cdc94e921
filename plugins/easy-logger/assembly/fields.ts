import {
  clusterName,
  HeaderMap,
  Property,
  RenamedProperty,
  requestHeaders,
  responseHeaders,
  routeName,
} from "../../../sdk/assembly";

const REQUEST_HEADER = "request_header.";
const RESPONSE_HEADER = "response_header.";
const NANOSECONDS: f64 = 1000000;

/** Something that a line can tell about a request. */
export abstract class Field {
  constructor(readonly name: string) {}

  /** Whether the value goes into the line without quotes. */
  isNumber(): bool {
    return false;
  }

  /** The value; null when the request has none. */
  abstract read(): string | null;
}

class HeaderField extends Field {
  constructor(
    name: string,
    private headers: HeaderMap,
    private header: string,
    private holdsNumber: bool = false,
  ) {
    super(name);
  }

  isNumber(): bool {
    return this.holdsNumber;
  }

  read(): string | null {
    return this.headers.get(this.header);
  }
}

class DetailsField extends Field {
  private property: Property = new Property(["response", "code_details"]);

  read(): string | null {
    return this.property.text();
  }
}

class RenamedField extends Field {
  constructor(
    name: string,
    private property: RenamedProperty,
  ) {
    super(name);
  }

  read(): string | null {
    return this.property.read();
  }
}

/** Milliseconds from the request's first byte to the end of its response. */
class DurationField extends Field {
  private property: Property = new Property(["request", "duration"]);

  isNumber(): bool {
    return true;
  }

  read(): string | null {
    const nanoseconds = this.property.integer(-1);
    return nanoseconds < 0 ? null : ((nanoseconds as f64) / NANOSECONDS).toString();
  }
}

/** The field of this name; null when there is none. */
export function createField(name: string): Field | null {
  if (name == "method" || name == "path" || name == "scheme")
    return new HeaderField(name, requestHeaders, ":" + name);
  if (name == "host") return new HeaderField(name, requestHeaders, ":authority");
  if (name == "status") return new HeaderField(name, responseHeaders, ":status", true);
  if (name == "request_id") return new HeaderField(name, requestHeaders, "x-request-id");
  if (name == "consumer") return new HeaderField(name, requestHeaders, "x-mse-consumer");
  if (name == "duration") return new DurationField(name);
  if (name == "details") return new DetailsField(name);
  if (name == "route") return new RenamedField(name, routeName);
  if (name == "cluster") return new RenamedField(name, clusterName);
  if (isHeader(name, REQUEST_HEADER))
    return new HeaderField(name, requestHeaders, name.substring(REQUEST_HEADER.length));
  if (isHeader(name, RESPONSE_HEADER)) {
    return new HeaderField(name, responseHeaders, name.substring(RESPONSE_HEADER.length));
  }
  return null;
}

function isHeader(name: string, prefix: string): bool {
  return name.startsWith(prefix) && name.length > prefix.length;
}
