// Stands before the plugin under test and sets the stream properties of its configuration, an object of names and texts.
import { HttpFilter, JsonValue, ConfigErrors, Plugin, Property, registerPlugin, Action } from "../../../../sdk/assembly";

export * from "../../../../sdk/assembly/exports";

class Properties {
  names: string[] = [];
  values: string[] = [];
}

class Setter extends HttpFilter {
  constructor(private properties: Properties) {
    super();
  }

  onRequestHeaders(endOfStream: bool): Action {
    const names = this.properties.names;
    const values = this.properties.values;
    for (let i = 0; i < names.length; i++) new Property([names[i]]).setText(values[i]);
    return Action.Continue;
  }
}

class PropertySetter extends Plugin<Properties> {
  parseConfig(json: JsonValue, errors: ConfigErrors): Properties {
    const properties = new Properties();
    properties.names = json.names();
    for (let i = 0; i < properties.names.length; i++)
      properties.values.push(json.get(properties.names[i]).text());
    return properties;
  }

  createFilter(properties: Properties): HttpFilter {
    return new Setter(properties);
  }
}

registerPlugin(() => new PropertySetter());
