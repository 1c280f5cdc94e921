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
    this.routes = texts(rule.get("_match_route_"), false);
    this.services = texts(rule.get("_match_service_"), false);
    this.routePrefixes = texts(rule.get("_match_route_prefix_"), false);
    this.hosts = texts(rule.get("_match_domain_"), true);
  }

  get isEmpty(): bool {
    return this.routes.length + this.hosts.length + this.services.length + this.routePrefixes.length == 0;
  }

  /** The same for rules with the same conditions, in whatever order they are written. */
  get hash(): u64 {
    const routes = sumOf(Key.Route, this.routes) + sumOf(Key.RoutePrefix, this.routePrefixes);
    return routes + sumOf(Key.Host, this.hosts) + sumOf(Key.Service, this.services);
  }

  /** Match keys that are there and decide nothing, because another one goes before them; "" when there are none. */
  get ignored(): string {
    const category = this.category;
    let names = "";
    if (category != Category.Host && this.hosts.length > 0) names = "_match_domain_ ";
    if (category == Category.Host && this.services.length > 0) names += "_match_service_ ";
    if (category != Category.RoutePrefix && this.routePrefixes.length > 0) names += "_match_route_prefix_ ";
    return names;
  }

  get category(): Category {
    if (this.routes.length > 0) return this.services.length > 0 ? Category.RouteAndService : Category.Route;
    if (this.hosts.length > 0) return Category.Host;
    return this.services.length > 0 ? Category.Service : Category.RoutePrefix;
  }
}

/** Number of a match key in `hash`. */
enum Key {
  Route = 1,
  Host,
  Service,
  RoutePrefix,
}

const FNV_BASIS: u64 = 0xcbf29ce484222325;
const FNV_PRIME: u64 = 0x100000001b3;

/** Sum of the hashes of texts, which does not depend on their order. */
function sumOf(key: Key, texts: string[]): u64 {
  let sum: u64 = 0;
  for (let i = 0; i < texts.length; i++) {
    const text = texts[i];
    let hash = (FNV_BASIS ^ (key as u64)) * FNV_PRIME;
    for (let j = 0; j < text.length; j++) hash = (hash ^ (text.charCodeAt(j) as u64)) * FNV_PRIME;
    sum += hash ^ (hash >> 29);
  }
  return sum;
}

const none: string[] = [];

/** Entries as text. An object or array counts as an entry, but as one that no name is equal to. */
function texts(value: JsonValue, withEmpty: bool): string[] {
  const items = value.list();
  if (items.length == 0) return none;
  const texts: string[] = [];
  for (let i = 0; i < items.length; i++) {
    const text = items[i].isObject || items[i].isArray ? "\0" : items[i].text();
    if (withEmpty || text != "") texts.push(text);
  }
  return texts;
}
