//! What is stored, queued or sent between builds, byte for byte. A change here is a change of a
//! format: rows, messages and calls of the build before must still be read, and a build that
//! cannot read what a later one wrote must say so instead of guessing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    reason = "a test may fail loudly"
)]

#[path = "../support/configuration.rs"]
mod configuration;
#[path = "../support/mod.rs"]
mod support;

mod calls;
mod keys;
mod messages;
mod rows;
mod versions;
