import {
  Action,
  ConfigErrors,
  HttpFilter,
  JsonValue,
  Plugin,
  registerPlugin,
  requestHeaders,
  responseHeaders,
} from "@wasmline/plugin-sdk/assembly";

// What the proxy calls.
export * from "@wasmline/plugin-sdk/assembly/exports";

/** The configuration: what is said to everybody who comes by. */
class Greeting {
  text: string = "hello";
}

/** One request. */
class Greeter extends HttpFilter {
  constructor(private greeting: Greeting) {
    super();
  }

  onRequestHeaders(endOfStream: bool): Action {
    requestHeaders.set("x-greeting", this.greeting.text);
    return Action.Continue;
  }

  onResponseHeaders(endOfStream: bool): Action {
    responseHeaders.set("x-greeting", this.greeting.text);
    return Action.Continue;
  }
}

class GreeterPlugin extends Plugin<Greeting> {
  parseConfig(json: JsonValue, errors: ConfigErrors): Greeting {
    const greeting = new Greeting();
    const text = json.get("greeting");
    if (text.isString) greeting.text = text.text();
    else if (text.exists) errors.add("greeting is " + text.raw() + ": expected a string");
    return greeting;
  }

  createFilter(greeting: Greeting): HttpFilter {
    return new Greeter(greeting);
  }
}

registerPlugin(() => new GreeterPlugin());
