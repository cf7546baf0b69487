//! Worlds that can be reproduced exactly: the real shard, host, consumer and ingress, on a database in
//! memory, under every kind of fault of the platform and the network.

#![allow(
    dead_code,
    missing_docs,
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test world that goes wrong must stop, and the two programs use different parts"
)]

mod alarm;
pub mod body;
pub mod campaign;
pub mod check;
pub mod client;
pub mod command;
#[path = "../support/configuration.rs"]
mod configuration;
pub mod crossing;
pub mod executor;
pub mod exhaustive;
pub mod fault;
pub mod history;
pub mod host;
#[path = "../support/one_by_one.rs"]
mod one_by_one;
pub mod origin;
pub mod plan;
pub mod ports;
pub mod queue;
pub mod rng;
pub mod run;
pub mod shrink;
#[path = "../support/sqlite.rs"]
mod sqlite;
pub mod watch;
pub mod world;
