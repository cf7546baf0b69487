//! What goes over HTTP, as pure parsers and renderers: header fields, targets, paths, problems.
//!
//! No clock, randomness or platform type. Every parser takes whatever a client sends: it answers
//! with a value or a refusal, and never panics.

pub mod headers;
mod list;
