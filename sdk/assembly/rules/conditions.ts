import { JsonValue } from "../json/value";

/** What a rule is matched by. The first kind that the rule has decides; only a route may have a service beside it. */
export enum Category {
  Route,
  RouteAndService,
  Host,
  Service,
  RoutePrefix,
}

/** The match keys of one rule. */
export class RuleConditions {
  readonly routes: string[];
  readonly hosts: string[];
  readonly services: string[];
  readonly routePrefixes: string[];

  constructor(rule: JsonValue) {
    this.routes = nonEmpty(rule.get("_match_route_"));
    this.services = nonEmpty(rule.get("_match_service_"));
    this.routePrefixes = nonEmpty(rule.get("_match_route_prefix_"));
    this.hosts = texts(rule.get("_match_domain_"));
  }

  get isEmpty(): bool {
    return this.routes.length + this.hosts.length + this.services.length + this.routePrefixes.length == 0;
  }

  get category(): Category {
    if (this.routes.length > 0) return this.services.length > 0 ? Category.RouteAndService : Category.Route;
    if (this.hosts.length > 0) return Category.Host;
    return this.services.length > 0 ? Category.Service : Category.RoutePrefix;
  }
}

/** Entries as text. An object or array counts as an entry, but as one that no name is equal to. */
function texts(value: JsonValue): string[] {
  return value.list().map<string>((item) => (item.isObject || item.isArray ? "\0" : item.text()));
}

function nonEmpty(value: JsonValue): string[] {
  return texts(value).filter((text) => text != "");
}
