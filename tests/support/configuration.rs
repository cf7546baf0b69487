//! The tests' configuration: TOML, as under `[vars.RAINCHECK]`.
#![allow(
    dead_code,
    clippy::expect_used,
    reason = "each test crate uses a part of it, and a test may fail loudly"
)]

use raincheck::policy::{ConfigErrors, Policy, Variable};
use serde_json::Value;

/// The JSON into which wrangler translates these lines.
pub fn value(toml: &str) -> Value {
    toml::from_str(toml).expect(toml)
}

/// The policy that the Worker reads from them.
pub fn parse(toml: &str) -> Result<Policy, ConfigErrors> {
    read(&[("RAINCHECK", toml)])
}

/// The policy that the Worker reads from several variables.
pub fn read(variables: &[(&str, &str)]) -> Result<Policy, ConfigErrors> {
    let variables = variables.iter().map(|(name, toml)| Variable {
        name: (*name).to_owned(),
        value: value(toml),
    });
    Policy::read(variables.collect())
}
