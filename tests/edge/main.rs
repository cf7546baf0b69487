//! The gateway as it runs: `wrangler dev` with workerd, storage and queues, in front of an origin
//! that misbehaves on request.
//!
//! Needs `build/` (the bundle) and `node_modules/`; `npm test` provides both and enables the feature
//! `edge-tests`. `RAINCHECK_NODE` and `RAINCHECK_WRANGLER` can name other programs than the
//! repository's own.

#![allow(missing_docs, reason = "a test binary has no interface")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test ends at the first surprise, and prints what it found"
)]

mod behaviour;
mod client;
mod gateway;
mod job;
mod origin;
mod pattern;
mod rules;
mod store;
mod wire;

mod bad_heads;
mod bad_input;
mod browsers;
mod cancel;
mod choices;
mod commands;
mod config;
mod cors;
mod expiry;
mod faults_real;
mod foreign_clients;
mod forged;
mod idempotency;
mod kills;
mod large;
mod origin_faults;
mod origin_itself;
mod origins;
mod passthrough;
mod prefer;
mod readme;
mod receipt;
mod redrive;
mod replay;
mod restart;
mod result;
mod service;
mod slow;
mod soak;
mod status;
mod uploads;
