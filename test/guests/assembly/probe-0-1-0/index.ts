import { proxy_clear_route_cache, proxy_continue_request, proxy_continue_response, proxy_get_configuration } from "../probe/abi";
import { Arguments } from "../probe/arguments";
import { Out, Outcome, perform } from "../probe/hostcalls";
import { outAddress, outSize } from "../probe/out";
import { run, usePerform } from "../probe/script";

export * from "../probe/callbacks";

export function proxy_abi_version_0_1_0(): void {}

export function proxy_on_request_headers(id: u32, count: u32): u32 {
  return run("on_request_headers", id, [count], 0);
}

export function proxy_on_response_headers(id: u32, count: u32): u32 {
  return run("on_response_headers", id, [count], 0);
}

usePerform((name: string, a: Arguments): Outcome => {
  if (name == "get_configuration") return new Outcome(proxy_get_configuration(outAddress(), outSize()), Out.Bytes);
  if (name == "continue_request") return new Outcome(proxy_continue_request(), Out.None);
  if (name == "continue_response") return new Outcome(proxy_continue_response(), Out.None);
  if (name == "clear_route_cache") return new Outcome(proxy_clear_route_cache(), Out.None);
  return perform(name, a);
});
