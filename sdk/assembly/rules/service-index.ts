import { NameIndex } from "./name-index";

/** A cluster's service, from `outbound|80|subset|host`. */
export class Service {
  private withPort: string = "";

  constructor(
    readonly name: string,
    readonly port: string,
  ) {}

  /** A configured port follows the last colon, so a port with a colon in it equals none. */
  get nameAndPort(): string {
    if (this.withPort == "") this.withPort = this.port.includes(":") ? this.name : this.name + ":" + this.port;
    return this.withPort;
  }
}

/** The service of a cluster; null for a cluster of another form, which no rule by service matches. */
export function serviceOf(cluster: string): Service | null {
  const first = cluster.indexOf("|");
  const second = first < 0 ? -1 : cluster.indexOf("|", first + 1);
  const third = second < 0 ? -1 : cluster.indexOf("|", second + 1);
  if (third < 0 || cluster.indexOf("|", third + 1) >= 0) return null;
  return new Service(cluster.substring(third + 1), cluster.substring(first + 1, second));
}

/** Services, with or without their port, each with the first rule that has it. */
export class ServiceIndex {
  private names: NameIndex = new NameIndex();
  /** `name*:port`, which is neither an end nor a beginning: by port. */
  private beginnings: Map<string, NameIndex> = new Map<string, NameIndex>();

  private hasPorts: bool = false;

  constructor(private isStrict: bool) {}

  add(service: string, rule: i32): void {
    if (service.includes(":")) this.hasPorts = true;
    // Unlike Higress: `*` stands for any beginning or end, as its documentation says; there it is a character.
    if (this.isStrict) {
      this.names.addExact(service, rule);
      return;
    }
    const mark = service.lastIndexOf("*:");
    if (mark <= 0 || service.startsWith("*")) {
      this.names.addPattern(service, rule);
      return;
    }
    const port = service.substring(mark + 2);
    if (!this.beginnings.has(port)) this.beginnings.set(port, new NameIndex());
    this.beginnings.get(port).addBeginning(service.substring(0, mark), rule);
  }

  /** The first rule, but before `limit`, that has the service; else `limit`. */
  find(service: Service, limit: i32): i32 {
    let best = this.names.find(service.name, limit);
    if (this.hasPorts) best = this.names.find(service.nameAndPort, best);
    const port = service.port;
    if (this.beginnings.size == 0 || !this.beginnings.has(port)) return best;
    return this.beginnings.get(port).find(service.name, best);
  }
}
