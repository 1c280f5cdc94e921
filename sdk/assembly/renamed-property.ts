import { Status } from "./enums";
import { Property } from "./properties";
import { takeText } from "./text";

enum Spelling {
  Unknown,
  Bare,
  Xds,
}

/**
 * A property that Envoy up to 1.32 and Higress call by its bare name and Envoy from 1.33 on only `xds.<name>`. Which
 * one answered first is remembered, so that the other one is not asked again for every request.
 */
export class RenamedProperty {
  private bare: Property;
  private xds: Property;
  private spelling: Spelling = Spelling.Unknown;

  constructor(name: string) {
    this.bare = new Property([name]);
    this.xds = new Property(["xds", name]);
  }

  /** Value for the current stream: "" when it has none, null when the proxy fails to say. */
  read(): string | null {
    if (this.spelling != Spelling.Xds) {
      const status = this.bare.fetch();
      if (status == Status.Ok) {
        this.spelling = Spelling.Bare;
        return takeText();
      }
      if (status != Status.NotFound) return null;
    }
    if (this.spelling == Spelling.Bare) return "";
    const status = this.xds.fetch();
    if (status != Status.Ok) return status == Status.NotFound ? "" : null;
    this.spelling = Spelling.Xds;
    return takeText();
  }
}

/** Name of the current stream's route. */
export const routeName = new RenamedProperty("route_name");
/** Name of the cluster to which the current stream goes. */
export const clusterName = new RenamedProperty("cluster_name");
