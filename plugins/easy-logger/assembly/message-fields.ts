import { HeaderMap, parseInteger, Property, quoteJson, responseHeaders } from "@wasmline/plugin-sdk/assembly";
import { lowerCase } from "@wasmline/plugin-sdk/assembly/ascii";
import { ByteWriter } from "@wasmline/plugin-sdk/assembly/byte-writer";
import { fetchHeader } from "@wasmline/plugin-sdk/assembly/header-bytes";
import { dropReceived, receivedAddress, receivedSize } from "@wasmline/plugin-sdk/assembly/memory";
import { decodeText } from "@wasmline/plugin-sdk/assembly/text";
import { CapturedBody } from "./captured-body";
import { Exchange } from "./exchange";
import { Field } from "./field";
import { pushQuoted } from "./quoted";
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

  write(line: ByteWriter, exchange: Exchange): void {
    if (!fetchHeader(this.headers.type, this.header)) {
      line.pushText("null");
      return;
    }
    const at = receivedAddress();
    const size = receivedSize();
    if (this.isHidden) line.pushText(quoteJson(REDACTED));
    else if (this.isUrl && this.redaction.mayHidePart(at, size))
      line.pushText(quoteJson(this.redaction.url(decodeText(at, size))));
    else pushQuoted(line, at, size);
    dropReceived();
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

  write(line: ByteWriter, exchange: Exchange): void {
    line.pushText(this.json());
  }

  private json(): string {
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

  write(line: ByteWriter, exchange: Exchange): void {
    const status = responseHeaders.get(":status");
    if (status !== null && parseInteger(status) !== null) {
      line.pushText(status);
      return;
    }
    const code = this.code.integer(0);
    if (code > 0) line.pushInteger(code);
    else line.pushText("null");
  }
}

/** The status of a gRPC call. Of any other response Envoy makes one up from the HTTP status. */
export class GrpcStatusField extends Field {
  private code: Property = new Property(["response", "grpc_status"]);

  write(line: ByteWriter, exchange: Exchange): void {
    const type = responseHeaders.get("content-type");
    const isGrpc = type !== null && lowerCase(type).startsWith("application/grpc");
    const code = isGrpc ? this.code.integer(-1) : -1;
    if (code < 0) line.pushText("null");
    else line.pushInteger(code);
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

  write(line: ByteWriter, exchange: Exchange): void {
    const body = this.find(exchange);
    if (body === null) {
      line.pushText("null");
      return;
    }
    const text = body.text();
    line.pushText(quoteJson(body.isForm ? this.redaction.form(text) : this.redaction.json(text)));
  }

  isCut(exchange: Exchange): bool {
    const body = this.find(exchange);
    return body !== null && body.isCut;
  }

  private find(exchange: Exchange): CapturedBody | null {
    return this.isRequest ? exchange.requestBody : exchange.responseBody;
  }
}
