//! Segments of dots in a path (RFC 3986 section 5.2.4), as the URL standard that `fetch` follows reads
//! them: `%2e` is a dot in either case.

/// Resolves the segments of a path, those after its first slash. Also whether the path names a directory:
/// its last segment is empty or a segment of dots.
pub(crate) fn resolve<'a>(segments: impl Iterator<Item = &'a str>) -> (Vec<&'a str>, bool) {
    let mut kept = Vec::new();
    let mut is_directory = false;
    for segment in segments {
        is_directory = true;
        if is_parent(segment) {
            kept.pop();
        } else if !is_current(segment) {
            is_directory = segment.is_empty();
            // Empty segments count while `..` is resolved: `/a//../b` is `/a/b`.
            kept.push(segment);
        }
    }
    (kept, is_directory)
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
