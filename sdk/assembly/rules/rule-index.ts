import { AffixTrie, NONE } from "./affix-trie";
import { Category, RuleConditions } from "./conditions";
import { oneSpelling, withoutPort } from "./host-name";
import { NameIndex } from "./name-index";
import { ServiceIndex, serviceOf } from "./service-index";
import { StreamFacts } from "./stream-facts";

/** No rule matches. */
export const NO_RULE: i32 = -1;
/** The proxy did not say what a rule needs to know: no configuration applies. */
export const NOT_KNOWN: i32 = -2;

/** The rules by what they match, so that finding the first one does not mean trying each. */
export class RuleIndex {
  private hosts: NameIndex = new NameIndex();
  private routes: Map<string, i32> = new Map<string, i32>();
  private routePrefixes: AffixTrie = new AffixTrie(false);
  private services: ServiceIndex;
  private servicesOfRoutes: Map<string, ServiceIndex> = new Map<string, ServiceIndex>();
  private usesHost: bool = false;
  private usesRoute: bool = false;
  private usesCluster: bool = false;

  constructor(private isStrict: bool) {
    this.services = new ServiceIndex(isStrict);
  }

  add(rule: i32, conditions: RuleConditions): void {
    const category = conditions.category;
    if (category == Category.Host) {
      this.usesHost = true;
      for (let i = 0; i < conditions.hosts.length; i++) this.addHost(conditions.hosts[i], rule);
    } else if (category == Category.Service) {
      this.usesCluster = true;
      for (let i = 0; i < conditions.services.length; i++) this.services.add(conditions.services[i], rule);
    } else {
      this.usesRoute = true;
      if (category == Category.RoutePrefix) this.addRoutePrefixes(conditions.routePrefixes, rule);
      else if (category == Category.Route) this.addRoutes(conditions.routes, rule);
      else this.addRoutesAndServices(conditions, rule);
    }
  }

  /** Index of the first rule that matches the current stream, NO_RULE or NOT_KNOWN. */
  find(facts: StreamFacts): i32 {
    // Unlike Higress: the host is not asked for when no rule looks at it, so a request without one still gets the
    // global configuration, and an authenticating plugin cannot be avoided that way.
    let best = NONE;
    if (this.usesHost) {
      const host = facts.host();
      if (host === null) return NOT_KNOWN;
      best = this.findHost(host);
    }
    if (!this.usesRoute && !this.usesCluster) return best == NONE ? NO_RULE : best;
    const route = this.usesRoute ? facts.route() : "";
    const cluster = this.usesCluster ? facts.cluster() : "";
    if (route === null || cluster === null) return NOT_KNOWN;
    if (this.usesRoute) best = this.findRoute(route, best);
    if (this.usesCluster) best = this.findService(route, cluster, best);
    return best == NONE ? NO_RULE : best;
  }

  private addHost(pattern: string, rule: i32): void {
    if (this.isStrict) {
      this.hosts.addPattern(pattern, rule);
      return;
    }
    // Unlike Higress: hosts are compared as names are, whatever their letters' case, and a pattern's port is left out as a
    // request's is. There `Host: A.Test.com` gets past a rule for `a.test.com`, and a rule for `a.test.com:80` applies to nothing.
    const name = oneSpelling(pattern);
    this.hosts.addPattern(name, rule);
    const bare = oneSpelling(withoutPort(name));
    const isHost = bare != "" && (bare.startsWith("[") || !bare.includes(":"));
    if (bare != name && isHost) this.hosts.addPattern(bare, rule);
  }

  private addRoutes(routes: string[], rule: i32): void {
    for (let i = 0; i < routes.length; i++) {
      if (!this.routes.has(routes[i])) this.routes.set(routes[i], rule);
    }
  }

  private addRoutePrefixes(prefixes: string[], rule: i32): void {
    for (let i = 0; i < prefixes.length; i++) this.routePrefixes.add(prefixes[i], rule);
  }

  private addRoutesAndServices(conditions: RuleConditions, rule: i32): void {
    this.usesCluster = true;
    for (let i = 0; i < conditions.routes.length; i++) {
      const route = conditions.routes[i];
      if (!this.servicesOfRoutes.has(route)) this.servicesOfRoutes.set(route, new ServiceIndex(this.isStrict));
      const services = this.servicesOfRoutes.get(route);
      for (let j = 0; j < conditions.services.length; j++) services.add(conditions.services[j], rule);
    }
  }

  private findHost(authority: string): i32 {
    const host = withoutPort(authority);
    return this.hosts.find(this.isStrict ? host : oneSpelling(host), NONE);
  }

  private findRoute(route: string, limit: i32): i32 {
    const exact = this.routes.size > 0 && this.routes.has(route) ? min(limit, this.routes.get(route)) : limit;
    return this.routePrefixes.find(route, exact);
  }

  private findService(route: string, cluster: string, limit: i32): i32 {
    const service = serviceOf(cluster);
    if (service === null) return limit;
    const best = this.services.find(service, limit);
    if (this.servicesOfRoutes.size == 0 || !this.servicesOfRoutes.has(route)) return best;
    return this.servicesOfRoutes.get(route).find(service, best);
  }
}
