import type { PluginModule } from "./resolve-module.ts";

/**
 * Says why a gateway should get no requests yet; undefined once it may have them. It may when it serves and each plugin
 * has had its first answer, of those that fail closed a good one: what denies every request has no place among gateways
 * that hold on to the module they had. Once it was ready, plugins do not take it out any more, since a broken one that is
 * added later would take out all gateways at once.
 * Unlike Istio, whose agent is ready with the plugins that deny.
 */
export function createReadiness(
  serves: () => Promise<boolean>,
  plugins: () => readonly PluginModule[],
): () => Promise<string | undefined> {
  let wasReady = false;
  return async () => {
    if (!(await serves())) return "the gateway does not serve yet";
    const missing = wasReady ? undefined : plugins().find(isMissing);
    if (missing) return reasonOf(missing);
    wasReady = true;
    return undefined;
  };
}

function isMissing({ state }: PluginModule): boolean {
  return state === "fetching" || state === "denying";
}

function reasonOf({ name, url, state, error, attempts }: PluginModule): string {
  if (state === "fetching") return `plugin ${name} waits for its module, ${url}`;
  return `plugin ${name} fails closed and would deny every request (attempt ${attempts}): ${error}`;
}
