//! Runs the command `raincheck` on a wrangler.toml.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test crate uses a part of it, and a test may fail loudly"
)]

use std::path::PathBuf;
use std::process::{Command, Output};

/// The project's own wrangler.toml.
pub const GOOD: &str = include_str!("../../wrangler.toml");

/// Runs it with these arguments, in a directory of this test where wrangler.toml holds `content`.
pub fn run(test: &str, content: &str, args: &[&str]) -> Output {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("wrangler.toml"), content).unwrap();
    Command::new(env!("CARGO_BIN_EXE_raincheck"))
        .args(args)
        .current_dir(directory)
        .output()
        .unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The project's own wrangler.toml with other variables in it.
pub fn with_configuration(vars: &str) -> String {
    let (before, rest) = GOOD.split_once("[vars]\n").unwrap();
    let (_, after) = rest.split_once("'''\n\n").unwrap();
    format!("{before}{vars}\n{after}")
}

/// It with an environment `production` that has everything and this configuration.
pub fn with_production(configuration: &str) -> String {
    let (_, bindings) = GOOD.split_once("# The records").unwrap();
    let (bindings, _) = bindings.split_once("[observability]").unwrap();
    let bindings = bindings.replace("\n[[", "\n[[env.production.");
    let vars = format!("[env.production.vars]\nRAINCHECK = \"\"\"{configuration}\"\"\"\n#");
    format!("{GOOD}\n{vars}{bindings}")
}
