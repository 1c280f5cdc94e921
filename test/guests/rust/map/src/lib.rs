//! Reads whole maps, and writes them anew with each name in front of its value.
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Trace);
    proxy_wasm::set_root_context(|_| Box::new(Root));
}}

struct Root;

impl Context for Root {}

impl RootContext for Root {
    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Stream;

type Lines = Vec<(String, Vec<u8>)>;

fn show(what: &str, lines: &Lines) {
    for (name, value) in lines {
        log::info!("{what} {name}={}", String::from_utf8_lossy(value));
    }
}

/// The same lines in reverse order, those that are no pseudo headers with `name:` before their value.
fn rewritten(lines: &Lines) -> Lines {
    let (pseudo, mut rest): (Lines, Lines) = lines.iter().cloned().partition(|(name, _)| name.starts_with(':'));
    rest.reverse();
    let labelled = rest.into_iter().map(|(name, value)| {
        let text = [name.as_bytes(), b":", &value].concat();
        (name, text)
    });
    pseudo.into_iter().chain(labelled).collect()
}

fn borrowed(lines: &Lines) -> Vec<(&str, &[u8])> {
    lines.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect()
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let lines = self.get_http_request_headers_bytes();
        show("request", &lines);
        self.set_http_request_headers_bytes(borrowed(&rewritten(&lines)));
        Action::Continue
    }

    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        let lines = self.get_http_request_trailers_bytes();
        show("request trailer", &lines);
        self.set_http_request_trailers_bytes(borrowed(&rewritten(&lines)));
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        let lines = self.get_http_response_headers_bytes();
        show("response", &lines);
        self.set_http_response_headers_bytes(borrowed(&rewritten(&lines)));
        Action::Continue
    }

    fn on_http_response_trailers(&mut self, _: usize) -> Action {
        let lines = self.get_http_response_trailers_bytes();
        show("response trailer", &lines);
        self.set_http_response_trailers_bytes(borrowed(&rewritten(&lines)));
        Action::Continue
    }

    fn on_log(&mut self) {
        show("log", &self.get_http_request_headers_bytes());
        show("log response", &self.get_http_response_headers_bytes());
        show("log response trailer", &self.get_http_response_trailers_bytes());
    }
}
