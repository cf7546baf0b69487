//! The request target, path and query (RFC 9112 section 3.2.1), and its URL at the origin.

use std::fmt;

use super::problem::ProblemCode;

/// Longest target in bytes. Cloudflare takes URLs of up to 16 KB; the same bound holds on every
/// host, and keeps what a record stores of it small.
pub const TARGET_MAX: usize = 16 * 1024;

/// Path and query of a request, as the client sent them: `//`, `%2e%2e` and escapes stay as they are.
///
/// It begins with `/` and holds visible ASCII only, without `#`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target(String);

/// Why a target is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// Longer than [`TARGET_MAX`] bytes.
    TooLong,
    /// It does not begin with `/`.
    NotAPath,
    /// It holds a control character, a space, a byte outside ASCII, or `#`: none can stand in a
    /// target, and URL parsers disagree about what they do to it.
    Character,
}

impl TargetError {
    /// The problem that answers the request.
    #[must_use]
    pub const fn code(self) -> ProblemCode {
        match self {
            Self::TooLong => ProblemCode::TargetTooLong,
            Self::NotAPath | Self::Character => ProblemCode::BadRequest,
        }
    }
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "the request target is longer than {TARGET_MAX} bytes"),
            Self::NotAPath => f.write_str("the request target does not begin with '/'"),
            Self::Character => {
                f.write_str("the request target holds a character that must be percent-encoded")
            }
        }
    }
}

impl std::error::Error for TargetError {}

impl Target {
    /// Checks a path with its query.
    pub fn parse(target: &str) -> Result<Self, TargetError> {
        if target.len() > TARGET_MAX {
            return Err(TargetError::TooLong);
        }
        if !target.starts_with('/') {
            return Err(TargetError::NotAPath);
        }
        if !target
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'#')
        {
            return Err(TargetError::Character);
        }
        Ok(Self(target.to_owned()))
    }

    /// Takes the target out of an absolute URL, as the platform gives it: all that follows scheme
    /// and authority. A missing path is `/`.
    pub fn of_url(url: &str) -> Result<Self, TargetError> {
        let after_scheme = url.split_once("://").ok_or(TargetError::NotAPath)?.1;
        let authority = after_scheme
            .split(['/', '?', '#', '\\'])
            .next()
            .unwrap_or_default();
        let target = after_scheme.strip_prefix(authority).unwrap_or_default();
        if target.starts_with('/') {
            return Self::parse(target);
        }
        Self::parse(&format!("/{target}"))
    }

    /// Path and query.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.split().0
    }

    /// The query after `?`, if there is one.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.split().1
    }

    fn split(&self) -> (&str, Option<&str>) {
        match self.0.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (&self.0, None),
        }
    }
}

/// The URL of `target` at the origin, whose base is `scheme://authority` with or without a path.
///
/// No target can change scheme or authority: they end before its first `/`. When the base has a path,
/// no target can climb out of it either: `..` segments that the URL parser of the runtime would
/// resolve are resolved first, as if the target stood at the root.
#[must_use]
pub fn join(origin_base: &str, target: &Target) -> String {
    let base = origin_base
        .split(['?', '#'])
        .next()
        .unwrap_or_default()
        .trim_end_matches('/');
    let has_path = base
        .split_once("://")
        .is_some_and(|(_, rest)| rest.contains('/'));
    let path = target.path();
    let mut url = String::with_capacity(base.len().saturating_add(target.0.len()));
    url.push_str(base);
    if has_path && path.split(['/', '\\']).any(is_parent) {
        url.push_str(&resolve_dots(path));
    } else {
        url.push_str(path);
    }
    if let Some(query) = target.query() {
        url.push('?');
        url.push_str(query);
    }
    url
}

/// Removes dot segments as a URL parser for `https` does (both slashes separate, `%2e` is a dot).
fn resolve_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_in_dots = false;
    for segment in path.split(['/', '\\']).skip(1) {
        ends_in_dots = is_parent(segment) || is_current(segment);
        if is_parent(segment) {
            kept.pop();
        } else if !ends_in_dots {
            kept.push(segment);
        }
    }
    if ends_in_dots {
        kept.push("");
    }
    format!("/{}", kept.join("/"))
}

fn is_parent(segment: &str) -> bool {
    ["..", ".%2e", "%2e.", "%2e%2e"]
        .iter()
        .any(|dots| segment.eq_ignore_ascii_case(dots))
}

fn is_current(segment: &str) -> bool {
    segment == "." || segment.eq_ignore_ascii_case("%2e")
}
