//! Small grammars.

pub(super) use crate::http::list::is_token;

/// A rule's name, apart from its length.
pub(super) fn is_name(text: &str) -> bool {
    let proper = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(proper)
}

/// A mount: unreserved characters only, so that it has one spelling (RFC 3986 section 2.3).
pub(super) fn is_mount(text: &str) -> bool {
    let proper =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'~' | b'-');
    text.strip_prefix('/').is_some_and(|rest| {
        rest.split('/')
            .all(|segment| !matches!(segment, "" | "." | "..") && segment.bytes().all(proper))
    })
}

/// A media type without parameters, or a range of them (RFC 9110 sections 8.3.1 and 12.5.1).
pub(super) fn is_media_range(text: &str) -> bool {
    text.split_once('/').is_some_and(|(kind, subtype)| {
        is_token(kind) && is_token(subtype) && (kind != "*" || subtype == "*")
    })
}

/// A field value without surrounding white space (RFC 9110 section 5.5).
pub(super) fn is_field_value(text: &str) -> bool {
    text.trim_matches([' ', '\t']) == text && !text.chars().any(|c| c.is_control() && c != '\t')
}
