//! Adds, sets and removes headers and trailers on both sides. A text as configuration is what `x-from-config` says;
//! `answer` in the query has the plugin answer by itself, `reset` cuts the stream.
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Trace);
    proxy_wasm::set_root_context(|_| Box::new(Root { label: String::new() }));
}}

struct Root {
    label: String,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_vm_start(&mut self, size: usize) -> bool {
        log::info!("vm start {size} {:?}", self.get_vm_configuration().map(|b| b.len()));
        true
    }

    fn on_configure(&mut self, size: usize) -> bool {
        let config = self.get_plugin_configuration();
        log::info!("configure {size} {:?}", config.as_ref().map(|b| b.len()));
        self.label = config.map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default();
        self.label != "refuse"
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream { label: self.label.clone(), path: String::new() }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Stream {
    label: String,
    path: String,
}

impl Context for Stream {
    fn on_done(&mut self) -> bool {
        log::info!("done");
        true
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, count: usize, end: bool) -> Action {
        log::info!("request headers {count} {end}");
        self.path = self.get_http_request_header(":path").unwrap_or_default();
        if self.path.contains("answer") {
            self.send_http_response(418, vec![("x-answer", "1"), ("x-answer", "2")], Some(b"short and stout"));
            return Action::Pause;
        }
        if self.path.contains("reset") {
            self.reset_http_request();
            return Action::Pause;
        }
        self.set_http_request_header("x-from-config", Some(&self.label));
        self.set_http_request_header("x-gone", None);
        self.add_http_request_header("x-many", "added");
        self.set_http_request_header("x-one", Some("only"));
        log::debug!("x-many is {:?}", self.get_http_request_header("x-many"));
        Action::Continue
    }

    fn on_http_request_trailers(&mut self, count: usize) -> Action {
        log::info!("request trailers {count} {:?}", self.get_http_request_trailer("x-t"));
        self.add_http_request_trailer("x-t-added", "1");
        Action::Continue
    }

    fn on_http_response_headers(&mut self, count: usize, end: bool) -> Action {
        log::info!("response headers {count} {end} {:?}", self.get_http_response_header(":status"));
        self.add_http_response_header("x-rust", "1");
        self.set_http_response_header("server", None);
        if self.path.contains("status") {
            self.set_http_response_header(":status", Some("203"));
        }
        if self.path.contains("late") {
            self.send_http_response(502, vec![("x-late", "1")], Some(b"late"));
            return Action::Pause;
        }
        Action::Continue
    }

    fn on_http_response_trailers(&mut self, count: usize) -> Action {
        log::info!("response trailers {count} {:?}", self.get_http_response_trailer("x-rt"));
        self.set_http_response_trailer("x-rt", Some("set"));
        self.set_http_response_trailer("x-rt-gone", None);
        Action::Continue
    }

    fn on_log(&mut self) {
        log::warn!("log {:?} {:?}", self.get_http_request_header(":path"), self.get_http_response_header("x-rust"));
    }
}
