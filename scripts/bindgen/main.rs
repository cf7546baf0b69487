//! `bindgen MODULE DIRECTORY`: writes the JavaScript around a module of wasm-bindgen's, as `wasm-bindgen --target module
//! --no-typescript --out-name index --force-enable-abort-handler` does. That program also runs tests in browsers and
//! so needs an HTTP server, an HTTP client and TLS: three times the crates.

use std::process::ExitCode;

use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(module), Some(directory)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: bindgen MODULE DIRECTORY");
        return ExitCode::FAILURE;
    };
    let mut bindgen = Bindgen::new();
    let done = bindgen.module(true).and_then(|bindgen| {
        bindgen
            .input_path(module)
            .out_name("index")
            .typescript(false)
            // Starts a new instance after a panic; see src/edge/worker.js.
            .force_enable_abort_handler(true)
            .generate(directory)
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:?}");
            ExitCode::FAILURE
        }
    }
}
