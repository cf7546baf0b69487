//! A response as plain data, before it becomes the platform's.

use crate::http::Headers;
use crate::protocol::problem::Problem;

/// Longest reply that is packed into a header field. Receipts and status documents have about 1 KB;
/// platforms commonly accept 16 KB of fields or more.
pub const PACKED_MAX: usize = 8 * 1024;

/// Most fields of a packed reply. It is low, because names are compared pairwise. Receipts and status
/// documents have about a dozen.
pub const PACKED_FIELDS_MAX: usize = 32;

/// The last part of a packed reply.
const PACKED_END: &str = ".";

/// The content of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// None.
    Empty,
    /// Text in UTF-8.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A problem that is not [rendered](Reply::rendered) yet: its text names the mount, which is not known
    /// where most problems are created.
    Problem(Box<Problem>),
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

    /// Renders a problem, whose `type` is a page below this mount. Other content stays as it is.
    #[must_use]
    pub fn rendered(mut self, mount: &str) -> Self {
        if let Content::Problem(problem) = &self.content {
            self.content = Content::Text(problem.body(mount));
        }
        self
    }

    /// The whole reply as the value of one header field, if it is short and plain enough: status, name and
    /// value of each field, an empty part, the content and a dot, separated by tabs. The dot protects the tabs
    /// before an empty content, since white space at the end of a field value is stripped.
    ///
    /// A reply that goes from a shard through a Worker to a client is built and parsed only once this way. A
    /// problem must be rendered first.
    #[must_use]
    pub fn packed(&self) -> Option<String> {
        let content = match &self.content {
            Content::Empty => "",
            Content::Text(text) => text,
            Content::Bytes(bytes) => std::str::from_utf8(bytes).ok()?,
            Content::Problem(_) => return None,
        };
        if self.headers.len() > PACKED_FIELDS_MAX {
            return None;
        }
        let mut packed = self.status.to_string();
        let mut names: Vec<&str> = Vec::new();
        for (name, value) in self.headers.iter() {
            // The reader keeps one field of each name.
            if name.is_empty() || names.contains(&name) {
                return None;
            }
            names.push(name);
            for part in [name, value] {
                packed.push('\t');
                packed.push_str(part);
            }
        }
        let tabs = names.len().checked_mul(2)?;
        for part in ["", content, PACKED_END] {
            packed.push('\t');
            packed.push_str(part);
        }
        let is_plain = packed
            .bytes()
            .all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte));
        let is_unambiguous =
            packed.bytes().filter(|byte| *byte == b'\t').count() == tabs.checked_add(3)?;
        (is_plain && is_unambiguous && packed.len() <= PACKED_MAX).then_some(packed)
    }

    /// Removes the content, for HEAD. Header fields stay as for GET (RFC 9110 section 9.3.2).
    #[must_use]
    pub fn without_content(mut self) -> Self {
        let len = match &self.content {
            // The length of a problem is known only when it is rendered, and a HEAD need not have it.
            Content::Empty | Content::Problem(_) => None,
            Content::Text(text) => Some(text.len()),
            Content::Bytes(bytes) => Some(bytes.len()),
        };
        if let Some(len) = len.filter(|_| !self.headers.contains("content-length")) {
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
            content: Content::Problem(Box::new(problem)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(fields: &[(&str, &str)], content: &str) -> Reply {
        Reply::new(202)
            .headers(fields.iter().copied().collect())
            .text(content.to_owned())
    }

    #[test]
    fn a_short_plain_reply_is_packed_with_all_that_it_says() {
        let receipt = reply(
            &[("etag", "\"v1\""), ("retry-after", "1")],
            "{\"id\":\"j\"}",
        );
        assert_eq!(
            receipt.packed().as_deref(),
            Some("202\tetag\t\"v1\"\tretry-after\t1\t\t{\"id\":\"j\"}\t.")
        );
        assert_eq!(Reply::new(304).packed().as_deref(), Some("304\t\t\t."));
    }

    #[test]
    fn what_packing_would_change_is_not_packed() {
        let cases = [
            reply(&[("vary", "Prefer"), ("vary", "Origin")], ""),
            reply(&[("x-own", "a\tb")], ""),
            reply(&[("x-own", "ü")], ""),
            reply(&[], "two\nlines"),
            reply(&[], "a\ttab"),
            reply(&[], &"x".repeat(PACKED_MAX)),
        ];
        for case in cases {
            assert_eq!(case.packed(), None, "{case:?}");
        }
        let many = (0..=PACKED_FIELDS_MAX).map(|number| (format!("x-{number}"), "1"));
        let many = Reply::new(200).headers(many.collect());
        assert_eq!(many.packed(), None);
        let bytes = Reply {
            content: Content::Bytes(vec![0xff]),
            ..Reply::new(200)
        };
        assert_eq!(bytes.packed(), None);
    }
}
