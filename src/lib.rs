//! Raincheck: an edge gateway that turns slow HTTP requests into durable jobs.
//!
//! A Cloudflare Worker stands in front of an HTTP API. Requests that a rule names are answered
//! `202 Accepted` at once; their record is kept in a Durable Object with SQLite, a queue consumer
//! replays them to the API, and the stored response is collected from a status URL. Everything else
//! passes through as a stream.
//!
//! The layers, from the top; each uses only those below it, and only the first knows the platform:
//!
//! | layer | what it is |
//! | --- | --- |
//! | [`edge`] | the platform: events, the Durable Object, bindings, streams |
//! | [`ingress`] | a client's request: route, plan, execute |
//! | [`consumer`] | a queue message: claim, send, store, finish |
//! | [`shard_service`] | what a shard's object does with a call and with its alarm |
//! | [`rpc`] | what these three say to each other |
//! | [`shard`] | many records in one SQLite database, and their schedule |
//! | [`policy`] | the configuration, and which rule a request falls under |
//! | [`protocol`] | what Raincheck says over HTTP: documents, problems, forwarding |
//! | [`http`] | header fields, lists, targets, dates |
//! | [`job`] | the state machine |
//!
//! ARCHITECTURE.md has the picture, and the life of a job step by step.

pub mod consumer;
pub mod edge;
pub mod http;
pub mod ingress;
pub mod job;
pub mod policy;
pub mod protocol;
pub mod rpc;
pub mod shard;
pub mod shard_service;
