;; The allocator makes a hostcall, which is not allowed while the host waits for it.
(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) ":pathallocating")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32)
    (drop (call $log (i32.const 2) (i32.const 69) (i32.const 10)))
    (i32.const 1024))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (drop (call $get (i32.const 0) (i32.const 64) (i32.const 5) (i32.const 72) (i32.const 76)))
    (i32.const 0)))
