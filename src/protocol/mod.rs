//! What Raincheck says over HTTP, as pure parsers and renderers: documents, problems, forwarding,
//! preferences, keys.
//!
//! No clock, randomness or platform type. Every parser accepts arbitrary input from a client: it returns a
//! value or an error, and never panics.

pub mod cors;
pub mod document;
pub mod dropped;
pub mod forwarding;
pub mod idempotency;
mod link;
pub mod output;
pub mod prefer;
pub mod priority;
pub mod problem;
pub mod result;
pub mod route;
pub mod trace;
