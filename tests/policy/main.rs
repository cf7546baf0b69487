//! The configuration: what is read, what is rejected with which error, and which rule applies.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail loudly"
)]

#[path = "../support/configuration.rs"]
mod configuration;
mod deciding;
mod documented;
mod owners;
mod properties;
mod reading;
mod refusing;
mod render;

use raincheck::policy::{Policy, Rule};

/// The one line that every configuration needs.
const ORIGIN: &str = "origin = \"https://api.example.com\"\n";

/// A configuration with these lines outside the rules.
fn top(lines: &str) -> String {
    format!("{ORIGIN}{lines}\n")
}

/// A configuration with one rule that has these lines besides name and path.
fn with_rule(lines: &str) -> String {
    format!("{ORIGIN}[[rules]]\nname = \"r\"\npath = \"/r\"\n{lines}\n")
}

#[track_caller]
fn read(text: &str) -> Policy {
    configuration::parse(text).unwrap_or_else(|errors| panic!("{text}\n{errors}"))
}

#[track_caller]
fn only_rule(lines: &str) -> Rule {
    read(&with_rule(lines)).rules.remove(0)
}
