//! HTTP vocabulary that several layers need: header fields, lists, conditional requests, ranges,
//! targets and dates (RFC 9110, RFC 9112). It knows nothing of jobs.

pub mod conditional;
pub mod date;
pub mod forwarded;
mod headers;
pub mod hex;
pub mod hop;
pub mod list;
pub mod media;
pub mod range;
pub(crate) mod segments;
pub mod target;
pub mod twin;

pub use headers::Headers;
