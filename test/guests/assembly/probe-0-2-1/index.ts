import { Arguments } from "../probe/arguments";
import { proxy_close_stream, proxy_continue_stream, proxy_get_log_level } from "../probe/abi";
import { Out, Outcome, perform } from "../probe/hostcalls";
import { outSize } from "../probe/out";
import { usePerform } from "../probe/script";

export * from "../probe/callbacks";
export * from "../probe/callbacks-0-2";

export function proxy_abi_version_0_2_1(): void {}

usePerform((name: string, a: Arguments): Outcome => {
  if (name == "continue_stream") return new Outcome(proxy_continue_stream(a.at(0)), Out.None);
  if (name == "close_stream") return new Outcome(proxy_close_stream(a.at(0)), Out.None);
  if (name == "get_log_level") return new Outcome(proxy_get_log_level(outSize()), Out.Number);
  return perform(name, a);
});
