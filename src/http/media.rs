//! Media types (RFC 9110 section 8.3.1).

use super::list::trim_ows;

/// Type and subtype of a `Content-Type` value, without parameters, in the case as sent. Compare it
/// ignoring case.
#[must_use]
pub fn essence(content_type: &str) -> &str {
    trim_ows(content_type.split(';').next().unwrap_or_default())
}

/// Whether the type is `application/json` or has the suffix `+json` (RFC 6839 section 3.1).
#[must_use]
pub fn is_json(essence: &str) -> bool {
    let essence = essence.to_ascii_lowercase();
    essence == "application/json" || essence.len() > 5 && essence.ends_with("+json")
}
