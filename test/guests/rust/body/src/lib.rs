//! Changes bodies as its configuration says, on both sides: `upper` each chunk in capitals, `whole` waits for the end
//! and writes the length before it, `drop` takes everything away, `append` adds to the end, `twice` doubles each chunk,
//! `cut` leaves three bytes of the whole.
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Trace);
    proxy_wasm::set_root_context(|_| Box::new(Root { mode: String::new() }));
}}

struct Root {
    mode: String,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        self.mode = self
            .get_plugin_configuration()
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default();
        true
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream { mode: self.mode.clone() }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Stream {
    mode: String,
}

enum Change {
    Wait,
    Keep,
    Put(Vec<u8>),
}

impl Stream {
    fn change(&self, body: Option<Vec<u8>>, end: bool) -> Change {
        let body = body.unwrap_or_default();
        log::info!("chunk {:?} {end}", String::from_utf8_lossy(&body[..body.len().min(40)]));
        match self.mode.as_str() {
            "upper" => Change::Put(body.to_ascii_uppercase()),
            "twice" => Change::Put([body.clone(), body].concat()),
            "drop" => Change::Put(Vec::new()),
            "append" if end => Change::Put([body.as_slice(), b"!end"].concat()),
            "whole" | "cut" if !end => Change::Wait,
            "whole" => Change::Put([body.len().to_string().as_bytes(), b":", &body].concat()),
            "cut" => Change::Put(body[..body.len().min(3)].to_vec()),
            _ => Change::Keep,
        }
    }
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        self.set_http_request_header("content-length", None);
        Action::Continue
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        log::info!("request body {size} {end}");
        match self.change(self.get_http_request_body(0, size), end) {
            Change::Wait => return Action::Pause,
            Change::Put(body) => self.set_http_request_body(0, size, &body),
            Change::Keep => {}
        }
        Action::Continue
    }

    fn on_http_request_trailers(&mut self, count: usize) -> Action {
        log::info!("request trailers {count}");
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        self.set_http_response_header("content-length", None);
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        log::info!("response body {size} {end}");
        match self.change(self.get_http_response_body(0, size), end) {
            Change::Wait => return Action::Pause,
            Change::Put(body) => self.set_http_response_body(0, size, &body),
            Change::Keep => {}
        }
        Action::Continue
    }

    fn on_http_response_trailers(&mut self, count: usize) -> Action {
        log::info!("response trailers {count}");
        Action::Continue
    }
}
