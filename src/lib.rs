//! Raincheck: an edge gateway that turns slow HTTP requests into durable jobs.
//!
//! A Cloudflare Worker stands in front of an HTTP API. A request that matches a rule gets
//! `202 Accepted` at once: its record is kept in the SQLite database of a Durable Object, a queue
//! consumer replays it to the API, and the client collects the stored response from a status URL.
//! All other requests stream through.
//!
//! The layers, top to bottom. Each uses only those below it; only [`edge`] knows the platform:
//!
//! | layer | what it is |
//! | --- | --- |
//! | [`edge`] | the platform: events, the Durable Object, bindings, streams |
//! | [`ingress`] | a client's request: route, plan, execute |
//! | [`consumer`] | a queue message: claim, send, store, finish |
//! | [`shard_service`] | what a shard's object does with a call and with its alarm |
//! | [`rpc`] | the calls, messages and ports between these three |
//! | [`shard`] | many records in one SQLite database, and their schedule |
//! | [`policy`] | the configuration, and which rule a request matches |
//! | [`protocol`] | what Raincheck says over HTTP: documents, problems, forwarding |
//! | [`http`] | header fields, lists, targets, dates |
//! | [`job`] | the state machine |
//!
//! ARCHITECTURE.md has a diagram, and the life of a job step by step.

pub mod consumer;
#[cfg(not(all(feature = "commands", target_arch = "wasm32")))]
pub mod edge;
/// The module for the npm commands has this edge instead.
#[cfg(all(feature = "commands", target_arch = "wasm32"))]
#[path = "edge/deployment.rs"]
pub mod edge;
pub mod http;
pub mod ingress;
pub mod job;
pub mod policy;
pub mod protocol;
pub mod rpc;
pub mod shard;
pub mod shard_service;
