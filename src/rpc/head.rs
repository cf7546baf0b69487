//! The heads that a shard stores: the request's for the attempts, and the response's for the result.

use serde::{Deserialize, Serialize};

use crate::http::Headers;

/// Most bytes of header fields that a job stores. Origins commonly accept 8 to 64 KB; their row has room
/// for 2 MB with the payload.
pub const HEADERS_MAX: usize = 32 * 1024;

/// The head of the request that every attempt sends. It is kept as long as the job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestHead {
    /// Version of the stored form.
    pub v: u8,
    /// The method.
    pub method: String,
    /// The target as the client sent it.
    pub target: String,
    /// The header fields for the origin, without those that differ per attempt.
    pub headers: Headers,
    /// The client's `Idempotency-Key` as it was sent. Without one, the key is the job's name at the origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// The head of a stored response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseHead {
    /// Version of the stored form.
    pub v: u8,
    /// The origin's status.
    pub status: u16,
    /// Its end-to-end header fields.
    pub headers: Headers,
    /// The body ended when the connection closed, and had no announced length.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub length_unverified: bool,
    /// It is the response to a HEAD: its `Content-Length` is that of content which was not sent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub to_head: bool,
}

/// Version of [`RequestHead`] and [`ResponseHead`].
pub const HEAD_VERSION: u8 = 1;

impl RequestHead {
    /// Parses a stored head. `None` if it is not valid, or of a later build.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let head: Self = serde_json::from_str(text).ok()?;
        (head.v <= HEAD_VERSION).then_some(head)
    }
}

impl ResponseHead {
    /// Parses a stored head. `None` if it is not valid, or of a later build.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let head: Self = serde_json::from_str(text).ok()?;
        (head.v <= HEAD_VERSION).then_some(head)
    }
}
