//! What goes over HTTP, as pure parsers and renderers: header fields, targets, paths, problems.
//!
//! No clock, randomness or platform type. Every parser takes whatever a client sends: it answers
//! with a value or a refusal, and never panics.

pub mod conditional;
pub mod cors;
pub mod document;
pub mod forwarding;
pub mod headers;
pub mod hop;
pub mod idempotency;
mod list;
pub mod prefer;
pub mod priority;
pub mod problem;
pub mod range;
pub mod route;
pub mod target;
pub mod time;
pub mod trace;

pub use headers::Headers;
