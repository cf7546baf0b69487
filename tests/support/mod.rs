//! Code shared by several native test crates.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test crate uses a part of it, and a test may fail loudly"
)]

pub mod jobs;
pub mod sqlite;
