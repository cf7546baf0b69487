//! Dot segments of a path (RFC 3986 section 5.2.4), by the URL standard that `fetch` follows: `%2e`, in
//! either case, is a dot.

/// Resolves the dot segments among those after a path's first slash. Also returns whether the last one is a
/// dot segment, which means a directory without a slash at the end. Empty segments count: `/a//../b` is `/a/b`.
pub(crate) fn resolve<'a>(segments: impl Iterator<Item = &'a str>) -> (Vec<&'a str>, bool) {
    let mut kept = Vec::new();
    let mut ends_in_dots = false;
    for segment in segments {
        ends_in_dots = is_parent(segment) || is_current(segment);
        if is_parent(segment) {
            kept.pop();
        } else if !ends_in_dots {
            kept.push(segment);
        }
    }
    (kept, ends_in_dots)
}

/// Whether a segment is `..`.
pub(crate) fn is_parent(segment: &str) -> bool {
    ["..", ".%2e", "%2e.", "%2e%2e"]
        .iter()
        .any(|dots| segment.eq_ignore_ascii_case(dots))
}

fn is_current(segment: &str) -> bool {
    segment == "." || segment.eq_ignore_ascii_case("%2e")
}
