//! Configuration as the tests write it: TOML, as it stands under `[vars.RAINCHECK]`.
#![allow(
    dead_code,
    clippy::expect_used,
    reason = "each test crate uses a part of it, and a test may fail loudly"
)]

use raincheck::policy::{ConfigErrors, Policy, Variable};
use serde_json::Value;

/// What wrangler makes of these lines.
pub fn value(toml: &str) -> Value {
    toml::from_str(toml).expect(toml)
}

/// What the Worker makes of them.
pub fn parse(toml: &str) -> Result<Policy, ConfigErrors> {
    read(&[("RAINCHECK", toml)])
}

/// What the Worker makes of several variables.
pub fn read(variables: &[(&str, &str)]) -> Result<Policy, ConfigErrors> {
    let variables = variables.iter().map(|(name, toml)| Variable {
        name: (*name).to_owned(),
        value: value(toml),
    });
    Policy::read(variables.collect())
}
