import * as abi from "./abi";
import { Arguments } from "./arguments";
import { codeAddress, outAddress, outSize } from "./out";

/** What a hostcall returns besides its status. */
export enum Out {
  None,
  Bytes,
  Pairs,
  Number,
  Long,
  Two,
  Status,
  Unknown,
}

/** Called by `perform`: its status and what it returns. */
export class Outcome {
  constructor(
    readonly status: u32,
    readonly out: Out,
  ) {}
}

const unknown = new Outcome(0, Out.Unknown);

/** Makes a hostcall that every ABI has. */
export function perform(name: string, a: Arguments): Outcome {
  const outcome = performOnHeaders(name, a);
  if (outcome.out != Out.Unknown) return outcome;
  const called = performCall(name, a);
  return called.out != Out.Unknown ? called : performOnPlugin(name, a);
}

function performOnHeaders(name: string, a: Arguments): Outcome {
  if (name == "get_header_map_value")
    return new Outcome(abi.proxy_get_header_map_value(a.at(0), a.at(1), a.at(2), outAddress(), outSize()), Out.Bytes);
  if (name == "get_header_map_pairs")
    return new Outcome(abi.proxy_get_header_map_pairs(a.at(0), outAddress(), outSize()), Out.Pairs);
  if (name == "get_header_map_size")
    return new Outcome(abi.proxy_get_header_map_size(a.at(0), outSize()), Out.Number);
  if (name == "set_header_map_pairs")
    return new Outcome(abi.proxy_set_header_map_pairs(a.at(0), a.at(1), a.at(2)), Out.None);
  if (name == "add_header_map_value")
    return new Outcome(abi.proxy_add_header_map_value(a.at(0), a.at(1), a.at(2), a.at(3), a.at(4)), Out.None);
  if (name == "replace_header_map_value")
    return new Outcome(abi.proxy_replace_header_map_value(a.at(0), a.at(1), a.at(2), a.at(3), a.at(4)), Out.None);
  if (name == "remove_header_map_value")
    return new Outcome(abi.proxy_remove_header_map_value(a.at(0), a.at(1), a.at(2)), Out.None);
  if (name == "get_buffer_bytes")
    return new Outcome(abi.proxy_get_buffer_bytes(a.at(0), a.at(1), a.at(2), outAddress(), outSize()), Out.Bytes);
  if (name == "get_buffer_status")
    return new Outcome(abi.proxy_get_buffer_status(a.at(0), outAddress(), outSize()), Out.Two);
  if (name == "set_buffer_bytes")
    return new Outcome(abi.proxy_set_buffer_bytes(a.at(0), a.at(1), a.at(2), a.at(3), a.at(4)), Out.None);
  if (name == "send_local_response")
    return new Outcome(
      abi.proxy_send_local_response(a.at(0), a.at(1), a.at(2), a.at(3), a.at(4), a.at(5), a.at(6), a.at(7)),
      Out.None,
    );
  return unknown;
}

function performCall(name: string, a: Arguments): Outcome {
  if (name == "http_call")
    return new Outcome(
      abi.proxy_http_call(
        a.at(0), a.at(1), a.at(2), a.at(3), a.at(4), a.at(5), a.at(6), a.at(7), a.at(8), outSize(),
      ),
      Out.Number,
    );
  if (name == "grpc_call")
    return new Outcome(
      abi.proxy_grpc_call(
        a.at(0), a.at(1), a.at(2), a.at(3), a.at(4), a.at(5), a.at(6), a.at(7), a.at(8), a.at(9), a.at(10), outSize(),
      ),
      Out.Number,
    );
  if (name == "grpc_stream")
    return new Outcome(
      abi.proxy_grpc_stream(a.at(0), a.at(1), a.at(2), a.at(3), a.at(4), a.at(5), a.at(6), a.at(7), outSize()),
      Out.Number,
    );
  if (name == "grpc_send")
    return new Outcome(abi.proxy_grpc_send(a.at(0), a.at(1), a.at(2), a.at(3)), Out.None);
  if (name == "grpc_cancel") return new Outcome(abi.proxy_grpc_cancel(a.at(0)), Out.None);
  if (name == "grpc_close") return new Outcome(abi.proxy_grpc_close(a.at(0)), Out.None);
  if (name == "get_status") return new Outcome(abi.proxy_get_status(codeAddress(), outAddress(), outSize()), Out.Status);
  if (name == "call_foreign_function")
    return new Outcome(
      abi.proxy_call_foreign_function(a.at(0), a.at(1), a.at(2), a.at(3), outAddress(), outSize()),
      Out.Bytes,
    );
  if (name == "get_property")
    return new Outcome(abi.proxy_get_property(a.at(0), a.at(1), outAddress(), outSize()), Out.Bytes);
  if (name == "set_property")
    return new Outcome(abi.proxy_set_property(a.at(0), a.at(1), a.at(2), a.at(3)), Out.None);
  if (name == "set_effective_context")
    return new Outcome(abi.proxy_set_effective_context(a.at(0)), Out.None);
  return unknown;
}

function performOnPlugin(name: string, a: Arguments): Outcome {
  if (name == "log") return new Outcome(abi.proxy_log(a.at(0), a.at(1), a.at(2)), Out.None);
  if (name == "done") return new Outcome(abi.proxy_done(), Out.None);
  if (name == "get_current_time_nanoseconds")
    return new Outcome(abi.proxy_get_current_time_nanoseconds(outAddress()), Out.Long);
  if (name == "set_tick_period_milliseconds")
    return new Outcome(abi.proxy_set_tick_period_milliseconds(a.at(0)), Out.None);
  if (name == "get_shared_data")
    return new Outcome(
      abi.proxy_get_shared_data(a.at(0), a.at(1), outAddress(), outSize(), codeAddress()),
      Out.Bytes,
    );
  if (name == "set_shared_data")
    return new Outcome(abi.proxy_set_shared_data(a.at(0), a.at(1), a.at(2), a.at(3), a.at(4)), Out.None);
  if (name == "register_shared_queue")
    return new Outcome(abi.proxy_register_shared_queue(a.at(0), a.at(1), outSize()), Out.Number);
  if (name == "resolve_shared_queue")
    return new Outcome(abi.proxy_resolve_shared_queue(a.at(0), a.at(1), a.at(2), a.at(3), outSize()), Out.Number);
  if (name == "enqueue_shared_queue")
    return new Outcome(abi.proxy_enqueue_shared_queue(a.at(0), a.at(1), a.at(2)), Out.None);
  if (name == "dequeue_shared_queue")
    return new Outcome(abi.proxy_dequeue_shared_queue(a.at(0), outAddress(), outSize()), Out.Bytes);
  if (name == "define_metric")
    return new Outcome(abi.proxy_define_metric(a.at(0), a.at(1), a.at(2), outSize()), Out.Number);
  if (name == "increment_metric")
    return new Outcome(abi.proxy_increment_metric(a.at(0), a.long(1) as i64), Out.None);
  if (name == "record_metric") return new Outcome(abi.proxy_record_metric(a.at(0), a.long(1)), Out.None);
  if (name == "get_metric") return new Outcome(abi.proxy_get_metric(a.at(0), outAddress()), Out.Long);
  if (name == "resolve_dns")
    return new Outcome(abi.envoy_resolve_dns(a.at(0), a.at(1), outSize()), Out.Number);
  return unknown;
}
