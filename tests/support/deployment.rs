//! Configuration files of deployments, and what the check reports about them.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "each test crate uses a part of it, and a test may fail loudly"
)]

use raincheck::policy::deployment::{Report, Scope, check};
use serde_json::{Map, Value, json};

/// The project's own wrangler.toml.
pub const OWN: &str = include_str!("../../wrangler.toml");

/// The default scope of the check: the whole file.
pub const ALL: Scope<'static> = Scope {
    environment: None,
    deploy: false,
    declared: &[],
};

pub fn read(toml: &str) -> Value {
    toml::from_str(toml).unwrap()
}

/// The project's own file with one text replaced.
#[track_caller]
pub fn changed(from: &str, to: &str) -> Value {
    assert!(OWN.contains(from), "wrangler.toml has changed: {from}");
    read(&OWN.replace(from, to))
}

/// The project's own file with this configuration.
pub fn with_configuration(lines: &str) -> Value {
    let mut file = read(OWN);
    file["vars"] = json!({ "RAINCHECK": read(lines) });
    file
}

/// The file with a complete environment `production` that has this configuration.
pub fn with_production(lines: &str) -> Value {
    let mut file = read(OWN);
    let mut production = json!({ "vars": { "RAINCHECK": read(lines) } });
    for name in ["durable_objects", "migrations", "r2_buckets", "queues"] {
        production[name] = file[name].clone();
    }
    file["env"] = json!({ "production": production });
    file
}

pub fn table(file: &Value) -> Map<String, Value> {
    file.as_object().unwrap().clone()
}

pub fn report(file: &Value, scope: Scope<'_>) -> Report {
    check(&table(file), scope)
}

/// The mistakes in the file, one per line.
pub fn mistakes(file: &Value, scope: Scope<'_>) -> String {
    lines(&report(file, scope).mistakes)
}

/// The warnings about the file, one per line.
pub fn warnings(file: &Value, scope: Scope<'_>) -> String {
    lines(&report(file, scope).warnings)
}

fn lines(errors: &[raincheck::policy::ConfigError]) -> String {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    lines.join("\n")
}
