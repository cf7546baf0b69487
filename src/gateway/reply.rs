//! A response that is ready to be sent, before it becomes the platform's.

use crate::protocol::Headers;
use crate::protocol::problem::Problem;

/// The content of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// None.
    Empty,
    /// Text in UTF-8.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The header fields.
    pub headers: Headers,
    /// The content.
    pub content: Content,
}

impl Reply {
    /// A reply without header fields and content.
    #[must_use]
    pub const fn new(status: u16) -> Self {
        Self {
            status,
            headers: Headers::new(),
            content: Content::Empty,
        }
    }

    /// With text as content.
    #[must_use]
    pub fn text(mut self, text: String) -> Self {
        self.content = Content::Text(text);
        self
    }

    /// With these header fields.
    #[must_use]
    pub fn headers(mut self, headers: Headers) -> Self {
        self.headers = headers;
        self
    }

    /// Without its content, for HEAD; header fields stay as for GET (RFC 9110 section 9.3.2).
    #[must_use]
    pub fn without_content(mut self) -> Self {
        let len = match &self.content {
            Content::Empty => None,
            Content::Text(text) => Some(text.len()),
            Content::Bytes(bytes) => Some(bytes.len()),
        };
        if let Some(len) = len {
            self.headers.set("content-length", len.to_string());
        }
        self.content = Content::Empty;
        self
    }
}

impl From<Problem> for Reply {
    fn from(problem: Problem) -> Self {
        Self {
            status: problem.status(),
            headers: problem.response_headers(),
            content: Content::Bytes(problem.body()),
        }
    }
}
