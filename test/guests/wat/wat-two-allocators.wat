;; Both names of the allocator: which one is called is logged by the letter at its address, m or p.
(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) ":pathm.p")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.store8 (i32.const 200) (i32.const 109)) (i32.const 1024))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.store8 (i32.const 200) (i32.const 112)) (i32.const 1024))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (drop (call $get (i32.const 0) (i32.const 64) (i32.const 5) (i32.const 80) (i32.const 84)))
    (drop (call $log (i32.const 2) (i32.const 200) (i32.const 1)))
    (i32.const 0)))
