//! Calls out while the request waits. The configuration names how: `http` lets the request go on or answers by what
//! `auth` says, `parallel` waits for `a` and `b`, `grpc` asks `g` once, `stream` exchanges messages with `g`, `tick`
//! goes on at the third tick.
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Trace);
    proxy_wasm::set_root_context(|_| Box::new(Root { mode: String::new(), ticks: 0, waiting: Rc::default() }));
}}

struct Root {
    mode: String,
    ticks: u32,
    waiting: Rc<RefCell<Vec<u32>>>,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        let config = self.get_plugin_configuration().unwrap_or_default();
        self.mode = String::from_utf8_lossy(&config).into_owned();
        if self.mode == "tick" {
            self.set_tick_period(Duration::from_millis(5));
        }
        true
    }

    fn on_tick(&mut self) {
        self.ticks += 1;
        if self.ticks < 3 {
            return;
        }
        for id in self.waiting.borrow_mut().drain(..) {
            log::info!("tick lets the stream go on");
            hostcalls::set_effective_context(id).unwrap();
            hostcalls::resume_http_request().unwrap();
        }
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        let waiting = self.waiting.clone();
        Some(Box::new(Stream { id, mode: self.mode.clone(), waiting, open: 0 }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Stream {
    id: u32,
    mode: String,
    waiting: Rc<RefCell<Vec<u32>>>,
    open: u32,
}

impl Stream {
    fn call(&mut self, upstream: &str) {
        let headers = vec![(":method", "POST"), (":path", "/check"), (":authority", "auth.example"), ("x-c", "1")];
        let timeout = Duration::from_millis(if upstream == "slow" { 50 } else { 5000 });
        match self.dispatch_http_call(upstream, headers, Some(b"question"), vec![], timeout) {
            Ok(_) => self.open += 1,
            Err(status) => {
                log::error!("no call to {upstream}: {status:?}");
                self.send_http_response(503, vec![], Some(b"no call"));
            }
        }
    }
}

impl Context for Stream {
    fn on_http_call_response(&mut self, _: u32, headers: usize, size: usize, trailers: usize) {
        log::info!("call response {headers} {size} {trailers}");
        for (name, value) in self.get_http_call_response_headers() {
            log::info!("call header {name}={value}");
        }
        for (name, value) in self.get_http_call_response_trailers() {
            log::info!("call trailer {name}={value}");
        }
        let body = self.get_http_call_response_body(0, size).unwrap_or_default();
        let status = self.get_http_call_response_header(":status");
        self.open -= 1;
        match status.as_deref() {
            Some("200") if self.open == 0 => {
                self.add_http_request_header("x-answer", &String::from_utf8_lossy(&body));
                self.resume_http_request();
            }
            Some("200") => {}
            Some(_) => self.send_http_response(403, vec![("x-why", "denied")], Some(&body)),
            None => {
                log::warn!("call failed {:?}", self.get_grpc_status());
                self.send_http_response(504, vec![], Some(b"call failed"));
            }
        }
    }

    fn on_grpc_call_response(&mut self, _: u32, status: u32, size: usize) {
        let body = self.get_grpc_call_response_body(0, size);
        log::info!("grpc response {status} {size} {body:?}");
        self.add_http_request_header("x-grpc", &status.to_string());
        self.resume_http_request();
    }

    fn on_grpc_stream_initial_metadata(&mut self, _: u32, _: u32) {
        log::info!("grpc initial {:?}", self.get_grpc_stream_initial_metadata_value("x-i"));
    }

    fn on_grpc_stream_message(&mut self, _: u32, size: usize) {
        let message = self.get_grpc_stream_message(0, size).unwrap_or_default();
        log::info!("grpc message {}", String::from_utf8_lossy(&message));
    }

    fn on_grpc_stream_trailing_metadata(&mut self, _: u32, _: u32) {
        log::info!("grpc trailing {:?}", self.get_grpc_stream_trailing_metadata_value("x-t"));
    }

    fn on_grpc_stream_close(&mut self, _: u32, status: u32) {
        log::info!("grpc close {status} {:?}", self.get_grpc_status());
        self.resume_http_request();
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        match self.mode.clone().as_str() {
            "http" => self.call("auth"),
            "slow" => self.call("slow"),
            "unknown" => self.call("nobody"),
            "parallel" => {
                self.call("a");
                self.call("b");
            }
            "grpc" => {
                let metadata = vec![("x-m", b"meta".as_slice())];
                let timeout = Duration::from_secs(5);
                let sent = self.dispatch_grpc_call("g", "s.Service", "Unary", metadata, Some(b"ask"), timeout);
                log::info!("grpc call {}", sent.is_ok());
            }
            "stream" => {
                let id = self.open_grpc_stream("g", "s.Service", "Stream", vec![]).unwrap();
                self.send_grpc_stream_message(id, Some(b"one"), false);
                self.send_grpc_stream_message(id, Some(b"two"), true);
            }
            "tick" => self.waiting.borrow_mut().push(self.id),
            _ => return Action::Continue,
        }
        Action::Pause
    }
}
