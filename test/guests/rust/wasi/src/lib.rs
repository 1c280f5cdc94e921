//! What the standard library asks of WASI: output, clocks, the environment, arguments, files, threads and the end. What
//! it does with a request is the request's path.
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};
use std::io::Write;
use std::time::{Duration, Instant, SystemTime};

proxy_wasm::main! {{
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

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let path = self.get_http_request_header(":path").unwrap_or_default();
        match path.as_str() {
            "/output" => write_output(),
            "/clocks" => read_clocks(),
            "/environment" => read_environment(),
            "/files" => use_files(),
            "/exit" => std::process::exit(3),
            _ => {}
        }
        Action::Continue
    }
}

fn write_output() {
    println!("to stdout");
    eprintln!("to stderr");
    print!("two\nlines\n");
    println!();
    print!("no line break");
    std::io::stdout().flush().unwrap();
    std::io::stdout().write_all(b"bytes \xff\n").unwrap();
}

fn read_clocks() {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    println!("realtime {}", now.unwrap_or_default() > Duration::from_secs(1_600_000_000));
    let start = Instant::now();
    println!("monotonic {}", start.elapsed() < Duration::from_secs(60));
}

fn read_environment() {
    let mut all: Vec<(String, String)> = std::env::vars().collect();
    all.sort();
    println!("environment {all:?}");
    println!("arguments {:?}", std::env::args().collect::<Vec<_>>());
}

fn use_files() {
    println!("read {:?}", std::fs::read("/etc/hostname").map_err(|error| error.kind()));
    println!("write {:?}", std::fs::write("/file", "x").map_err(|error| error.kind()));
    println!("list {:?}", std::fs::read_dir("/").map(|_| ()).map_err(|error| error.kind()));
    println!("remove {:?}", std::fs::remove_file("/file").map_err(|error| error.kind()));
    let mut line = String::new();
    println!("stdin {:?}", std::io::stdin().read_line(&mut line).map_err(|error| error.kind()));
}
