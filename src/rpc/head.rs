//! The heads that a shard keeps: of the request that is repeated, and of the response that is handed out.

use serde::{Deserialize, Serialize};

use crate::http::Headers;

/// Most bytes of header fields that a job keeps. Origins commonly take 8 to 64 KB; the row that
/// keeps them has room for 2 MB with the payload.
pub const HEADERS_MAX: usize = 32 * 1024;

/// The head of the request that every attempt repeats. It is kept for as long as the job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestHead {
    /// Version of the stored form.
    pub v: u8,
    /// The method.
    pub method: String,
    /// The target as the client sent it.
    pub target: String,
    /// The header fields for the origin, all but those of the attempt.
    pub headers: Headers,
    /// The client's `Idempotency-Key` as it was sent; without one the job's id is the key.
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
    /// The body ended with the connection, and nothing said how long it was to be.
    #[serde(default, skip_serializing_if = "is_false")]
    pub length_unverified: bool,
    /// It answered HEAD: a `Content-Length` among the fields is that of a content which never came.
    #[serde(default, skip_serializing_if = "is_false")]
    pub to_head: bool,
}

/// Version of [`RequestHead`] and [`ResponseHead`].
pub const HEAD_VERSION: u8 = 1;

impl RequestHead {
    /// Reads a stored head. `None` when it is none, or of a later build.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let head: Self = serde_json::from_str(text).ok()?;
        (head.v <= HEAD_VERSION).then_some(head)
    }
}

impl ResponseHead {
    /// Reads a stored head. `None` when it is none, or of a later build.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let head: Self = serde_json::from_str(text).ok()?;
        (head.v <= HEAD_VERSION).then_some(head)
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
const fn is_false(flag: &bool) -> bool {
    !*flag
}
