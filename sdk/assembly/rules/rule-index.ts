import { AffixIndex } from "./affix-index";
import { Category, RuleConditions } from "./conditions";
import { StreamFacts } from "./stream-facts";

/** No rule matches. */
export const NO_RULE: i32 = -1;
/** The proxy did not say what a rule needs to know: no configuration applies. */
export const NOT_KNOWN: i32 = -2;

class RouteAndService {
  constructor(
    readonly rule: i32,
    readonly services: string[],
  ) {}
}

/** The rules by what they match, so that finding the first one does not mean trying each. */
export class RuleIndex {
  private hosts: Map<string, i32> = new Map<string, i32>();
  private hostPrefixes: AffixIndex = new AffixIndex();
  private hostSuffixes: AffixIndex = new AffixIndex();
  private routes: Map<string, i32> = new Map<string, i32>();
  private routePrefixes: AffixIndex = new AffixIndex();
  private services: Map<string, i32> = new Map<string, i32>();
  private routesAndServices: Map<string, RouteAndService[]> = new Map<string, RouteAndService[]>();
  private usesHost: bool = false;
  private usesRoute: bool = false;
  private usesCluster: bool = false;

  add(rule: i32, conditions: RuleConditions): void {
    const category = conditions.category;
    if (category == Category.Host) {
      this.usesHost = true;
      for (let i = 0; i < conditions.hosts.length; i++) this.addHost(conditions.hosts[i], rule);
    } else if (category == Category.Service) {
      this.usesCluster = true;
      addEach(this.services, conditions.services, rule);
    } else {
      this.usesRoute = true;
      if (category == Category.Route) addEach(this.routes, conditions.routes, rule);
      else if (category == Category.RouteAndService) this.addRouteAndService(conditions, rule);
      else
        for (let i = 0; i < conditions.routePrefixes.length; i++)
          this.routePrefixes.add(conditions.routePrefixes[i], rule);
    }
  }

  /** Index of the first rule that matches the current stream, NO_RULE or NOT_KNOWN. */
  find(facts: StreamFacts): i32 {
    // Unlike Higress: the host is not asked for when no rule looks at it, so a request without one still gets the
    // global configuration, and an authenticating plugin cannot be avoided that way.
    let host: string | null = "";
    let route: string | null = "";
    let cluster: string | null = "";
    if (this.usesHost) host = facts.host();
    if (this.usesRoute) route = facts.route();
    if (this.usesCluster) cluster = facts.cluster();
    if (host === null || route === null || cluster === null) return NOT_KNOWN;
    let best = i32.MAX_VALUE;
    if (this.usesHost) best = this.findHost(host, best);
    if (this.usesRoute) best = this.findRoute(route, best);
    if (this.usesCluster) best = this.findService(route, cluster, best);
    return best == i32.MAX_VALUE ? NO_RULE : best;
  }

  private addHost(pattern: string, rule: i32): void {
    if (pattern.startsWith("*")) this.hostSuffixes.add(pattern.substring(1), rule);
    else if (pattern.endsWith("*")) this.hostPrefixes.add(pattern.substring(0, pattern.length - 1), rule);
    else if (!this.hosts.has(pattern)) this.hosts.set(pattern, rule);
  }

  private addRouteAndService(conditions: RuleConditions, rule: i32): void {
    this.usesCluster = true;
    const entry = new RouteAndService(rule, conditions.services);
    for (let i = 0; i < conditions.routes.length; i++) {
      const route = conditions.routes[i];
      if (!this.routesAndServices.has(route)) this.routesAndServices.set(route, []);
      this.routesAndServices.get(route).push(entry);
    }
  }

  private findHost(host: string, limit: i32): i32 {
    const best = firstOf(this.hosts, host, limit);
    return this.hostPrefixes.findPrefix(host, this.hostSuffixes.findSuffix(host, best));
  }

  private findRoute(route: string, limit: i32): i32 {
    return this.routePrefixes.findPrefix(route, firstOf(this.routes, route, limit));
  }

  private findService(route: string, cluster: string, limit: i32): i32 {
    const parts = cluster.split("|");
    if (parts.length != 4) return limit;
    const name = parts[3];
    // A configured port follows the last colon, so a port with a colon in it equals none.
    const nameAndPort = parts[1].includes(":") ? name : name + ":" + parts[1];
    let best = firstOf(this.services, name, firstOf(this.services, nameAndPort, limit));
    if (!this.routesAndServices.has(route)) return best;
    const entries = this.routesAndServices.get(route);
    for (let i = 0; i < entries.length; i++) {
      const services = entries[i].services;
      if (services.includes(name) || services.includes(nameAndPort)) best = min(best, entries[i].rule);
    }
    return best;
  }
}

function addEach(rules: Map<string, i32>, texts: string[], rule: i32): void {
  for (let i = 0; i < texts.length; i++) {
    if (!rules.has(texts[i])) rules.set(texts[i], rule);
  }
}

function firstOf(rules: Map<string, i32>, text: string, limit: i32): i32 {
  return rules.has(text) ? min(limit, rules.get(text)) : limit;
}
