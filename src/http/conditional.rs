//! Entity tags and conditional requests (RFC 9110 sections 8.8.3 and 13.1).

use crate::http::{date, list};

/// The strong entity tag of a job's document for a version of its record.
///
/// `variant` distinguishes representations of the same version (`""` for the plain document), because a
/// strong tag belongs to one sequence of bytes. It must be ASCII letters and digits.
#[must_use]
pub fn etag(version: u64, variant: &str) -> String {
    if variant.is_empty() {
        format!("\"v{version}\"")
    } else {
        format!("\"v{version}-{variant}\"")
    }
}

/// Whether `If-None-Match` lists `etag` or is `*`, so that the response to GET or HEAD is 304 (section
/// 13.1.2). Tags are compared weakly. Parsing stops at a malformed member.
#[must_use]
pub fn if_none_match(value: &str, etag: &str) -> bool {
    matches(value, |member| opaque(member) == opaque(etag))
}

/// Whether `If-Match` lists `etag` or is `*`; if not, the response is 412 (section 13.1.1). Tags are
/// compared strongly.
#[must_use]
pub fn if_match(value: &str, etag: &str) -> bool {
    matches(value, |member| is_same_strong(member, etag))
}

/// Whether `last_modified` is later than `since`, the date in `If-Modified-Since` or `If-Unmodified-Since`
/// (sections 13.1.3 and 13.1.4). `None`: one of them is not an HTTP date, and the condition must be ignored.
#[must_use]
pub fn is_modified_since(since: &str, last_modified: &str) -> Option<bool> {
    let (since, modified) = (
        date::parse_http_date(since)?,
        date::parse_http_date(last_modified)?,
    );
    Some(modified > since)
}

/// Strong comparison (section 8.8.3.2): both are equal, and neither is weak.
#[must_use]
pub fn is_same_strong(a: &str, b: &str) -> bool {
    a == b && a.starts_with('"')
}

fn matches(value: &str, is_same: impl Fn(&str) -> bool) -> bool {
    list::trim_ows(value) == "*" || EntityTags(value).any(is_same)
}

/// A tag without `W/`.
fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

/// The entity tags of a list, with their `W/` and quotes. A tag may contain commas and has no escapes, so
/// the common list syntax does not apply.
struct EntityTags<'a>(&'a str);

impl<'a> Iterator for EntityTags<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let text = self.0.trim_start_matches([' ', '\t', ',']);
        let inner = opaque(text).strip_prefix('"')?;
        let rest = inner.split_once('"')?.1;
        self.0 = rest;
        text.get(..text.len().saturating_sub(rest.len()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_can_be_compared(value in ".{0,60}") {
            let _ = (if_none_match(&value, &etag(1, "")), if_match(&value, &etag(1, "")));
        }

        #[test]
        fn a_tag_is_found_in_a_list_of_others(
            version: u64,
            others in prop::collection::vec("(W/)?\"[!#-~]{0,6}\"", 0..4),
            at in 0usize..5,
            weak: bool,
        ) {
            let tag = etag(version, "html");
            let sent = if weak { format!("W/{tag}") } else { tag.clone() };
            let mut list = others;
            list.insert(at.min(list.len()), sent);
            let value = list.join(" ,, ");
            prop_assert!(if_none_match(&value, &tag));
            prop_assert_eq!(if_match(&value, &tag), !weak);
        }

        #[test]
        fn versions_and_variants_never_share_a_tag(a: u64, b: u64) {
            prop_assert_eq!(etag(a, "") == etag(b, ""), a == b);
            prop_assert_ne!(etag(a, ""), etag(b, "html"));
            prop_assert_eq!(if_none_match(&etag(a, ""), &etag(b, "")), a == b);
        }
    }
}
