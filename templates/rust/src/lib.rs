//! __NAME__ sets the header x-greeting of requests and responses.
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};
use serde::Deserialize;
use std::rc::Rc;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Greeters { config: Rc::default() }));
}}

/// What the plugin is told: what is said to everybody who comes by.
#[derive(Deserialize)]
#[serde(default)]
struct Config {
    greeting: String,
}

impl Default for Config {
    fn default() -> Self {
        Config { greeting: "hello".to_string() }
    }
}

struct Greeters {
    config: Rc<Config>,
}

impl Context for Greeters {}

impl RootContext for Greeters {
    fn on_configure(&mut self, _: usize) -> bool {
        let bytes = self.get_plugin_configuration().unwrap_or_else(|| b"{}".to_vec());
        match serde_json::from_slice::<Config>(&bytes) {
            Ok(config) => self.config = Rc::new(config),
            Err(error) => {
                log::error!("configuration: {error}");
                return false;
            }
        }
        true
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Greeter { config: self.config.clone() }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

/// One request.
struct Greeter {
    config: Rc<Config>,
}

impl Context for Greeter {}

impl HttpContext for Greeter {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        self.set_http_request_header("x-greeting", Some(&self.config.greeting));
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        self.set_http_response_header("x-greeting", Some(&self.config.greeting));
        Action::Continue
    }
}
