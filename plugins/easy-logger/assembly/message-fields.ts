import { HeaderMap, parseInteger, Property, quoteJson, responseHeaders } from "@wasmline/plugin-sdk/assembly";
import { CapturedBody } from "./captured-body";
import { Exchange } from "./exchange";
import { Field } from "./field";
import { REDACTED } from "./redact-json";
import { holdsUrl, Redaction } from "./redaction";

/** The first value of one header. */
export class HeaderField extends Field {
  private isHidden: bool;
  private isUrl: bool;

  constructor(
    name: string,
    private headers: HeaderMap,
    private header: string,
    private redaction: Redaction,
  ) {
    super(name);
    this.isHidden = redaction.hidesHeader(header);
    this.isUrl = holdsUrl(header);
  }

  json(exchange: Exchange): string {
    const value = this.headers.get(this.header);
    if (value === null) return "null";
    if (this.isHidden) return quoteJson(REDACTED);
    return quoteJson(this.isUrl ? this.redaction.url(value) : value);
  }
}

/** All headers as one object; values of a header with several lines are a list. */
export class HeadersField extends Field {
  constructor(
    name: string,
    private headers: HeaderMap,
    private redaction: Redaction,
  ) {
    super(name);
  }

  json(exchange: Exchange): string {
    const byName = new Map<string, string[]>();
    const lines = this.headers.list();
    for (let i = 0; i < lines.length; i++) {
      const name = lines[i].name;
      if (!byName.has(name)) byName.set(name, []);
      byName.get(name).push(quoteJson(this.redaction.header(name, lines[i].value)));
    }
    const names = byName.keys();
    const members: string[] = [];
    for (let i = 0; i < names.length; i++) {
      const values = byName.get(names[i]);
      members.push(
        quoteJson(names[i]) + ":" + (values.length == 1 ? values[0] : "[" + values.join(",") + "]"),
      );
    }
    return "{" + members.join(",") + "}";
  }
}

/** The response's status; what the proxy knows of it when there are no headers. */
export class StatusField extends Field {
  private code: Property = new Property(["response", "code"]);

  json(exchange: Exchange): string {
    const status = responseHeaders.get(":status");
    if (status !== null && parseInteger(status) !== null) return status;
    const code = this.code.integer(0);
    return code > 0 ? code.toString() : "null";
  }
}

/** The status of a gRPC call. Of any other response Envoy makes one up from the HTTP status. */
export class GrpcStatusField extends Field {
  private code: Property = new Property(["response", "grpc_status"]);

  json(exchange: Exchange): string {
    const type = responseHeaders.get("content-type");
    if (type === null || !type.toLowerCase().startsWith("application/grpc")) return "null";
    const code = this.code.integer(-1);
    return code < 0 ? "null" : code.toString();
  }
}

/** A body as text, redacted. */
export class BodyField extends Field {
  constructor(
    name: string,
    private isRequest: bool,
    private redaction: Redaction,
  ) {
    super(name);
  }

  get readsRequestBody(): bool {
    return this.isRequest;
  }

  get readsResponseBody(): bool {
    return !this.isRequest;
  }

  json(exchange: Exchange): string {
    const body = this.find(exchange);
    if (body === null) return "null";
    const text = body.text();
    return quoteJson(body.isForm ? this.redaction.form(text) : this.redaction.json(text));
  }

  isCut(exchange: Exchange): bool {
    const body = this.find(exchange);
    return body !== null && body.isCut;
  }

  private find(exchange: Exchange): CapturedBody | null {
    return this.isRequest ? exchange.requestBody : exchange.responseBody;
  }
}
