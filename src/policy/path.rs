//! Canonical paths, and the path patterns of rules.
//!
//! A request's path is brought into a canonical form before it is compared. So spellings that common
//! servers treat as the same resource match the same rule:
//!
//! 1. `?` or `#` ends the path.
//! 2. `\` counts as `/`, as in the URL standard that `fetch` follows when it forwards the request.
//! 3. A percent-encoded octet that is printable ASCII is decoded once; all others, and raw octets
//!    that a URL may not hold, are written as `%XX` in capitals (RFC 3986 section 6.2.2). An
//!    encoded `/`, `\`, `?`, `#`, `%`, `{` or `}` stays encoded: it is data inside a segment and
//!    never separates segments or ends the path. A `%` without two hex digits counts as `%25`.
//! 4. Segments `.` and `..` are resolved, also if they are encoded (RFC 3986 section 5.2.4).
//! 5. Then empty segments are removed, except a trailing slash: `/a//b` is `/a/b`, `/a/` is not `/a`.
//!
//! This is for matching only; the target that is forwarded stays as the client sent it.

use std::borrow::Cow;
use std::fmt;

use matchit::Router;

use super::limits::MAX_PATH_PARAMETERS;
use crate::http::{hex, segments};

/// The canonical form of a request's path, borrowed if it is canonical already. `None` if it does not
/// start with a slash (the `*` of OPTIONS, a CONNECT authority).
#[must_use]
pub fn canonical_path(path: &str) -> Option<Cow<'_, str>> {
    let end = path.bytes().position(|byte| matches!(byte, b'?' | b'#'));
    let path = end.and_then(|end| path.get(..end)).unwrap_or(path);
    if !matches!(path.bytes().next(), Some(b'/' | b'\\')) {
        return None;
    }
    if is_canonical(path) {
        return Some(Cow::Borrowed(path));
    }
    Some(Cow::Owned(resolve_segments(&normalize_octets(path))))
}

/// A quick test without false positives: `false` only means that the full conversion is needed.
fn is_canonical(path: &str) -> bool {
    let mut previous = b'a';
    for byte in path.bytes() {
        let suspicious = match byte {
            // A dot at the start of a segment may be `.` or `..`.
            b'/' | b'.' => previous == b'/',
            _ => !stays_literal(byte),
        };
        if suspicious {
            return false;
        }
        previous = byte;
    }
    true
}

/// Whether the canonical form has the octet as it is; `/` is handled apart.
const fn stays_literal(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'/' | b'\\' | b'?' | b'#' | b'%' | b'{' | b'}')
}

/// Rules 2 and 3. The result is ASCII.
fn normalize_octets(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'/' | b'\\' => out.push('/'),
            b'%' => {
                let mut ahead = bytes.clone();
                let digits = ahead
                    .next()
                    .and_then(hex::value)
                    .zip(ahead.next().and_then(hex::value));
                if let Some((high, low)) = digits {
                    bytes = ahead;
                    push_octet(&mut out, (high << 4) | low);
                } else {
                    push_octet(&mut out, b'%');
                }
            }
            _ => push_octet(&mut out, byte),
        }
    }
    out
}

fn push_octet(out: &mut String, byte: u8) {
    if stays_literal(byte) {
        out.push(char::from(byte));
        return;
    }
    out.push('%');
    for nibble in [byte >> 4, byte & 15] {
        out.push(hex::digit(nibble).to_ascii_uppercase());
    }
}

/// Rules 4 and 5.
fn resolve_segments(path: &str) -> String {
    // A path that ends in `.`, `..` or nothing names a directory.
    let (kept, ends_in_dots) = segments::resolve(path.split('/').skip(1));
    let is_directory = ends_in_dots || path.ends_with('/');
    let mut out = String::with_capacity(path.len());
    for segment in kept.iter().filter(|segment| !segment.is_empty()) {
        out.push('/');
        out.push_str(segment);
    }
    if is_directory || out.is_empty() {
        out.push('/');
    }
    out
}

/// The path of a rule: literal segments, `{name}` for one segment or a part of it, `{*name}` for
/// the rest, as in `/reports/{id}` and `/exports/{*rest}`.
#[derive(Clone)]
pub struct PathPattern {
    text: String,
    /// The length of the literal text up to the first parameter.
    prefix_len: usize,
    /// `None` if the pattern has no parameter and is compared literally.
    router: Option<Router<()>>,
}

impl PathPattern {
    /// Parses a pattern. The error completes "allowed: …".
    pub fn parse(text: &str) -> Result<Self, String> {
        let skeleton = skeleton(text).ok_or_else(|| SYNTAX.to_owned())?;
        if text.matches('{').count() > MAX_PATH_PARAMETERS {
            return Err(format!(
                "a path with at most {MAX_PATH_PARAMETERS} parameters"
            ));
        }
        match canonical_path(&skeleton) {
            Some(canonical) if canonical == skeleton => {}
            Some(canonical) if !text.contains('{') => {
                return Err(format!("the canonical form of the path, {canonical:?}"));
            }
            _ => return Err(SYNTAX.to_owned()),
        }
        let prefix_len = text.find('{').unwrap_or(text.len());
        let router = if prefix_len == text.len() {
            None
        } else {
            let mut router = Router::new();
            router.insert(text, ()).map_err(|_| SYNTAX.to_owned())?;
            Some(router)
        };
        Ok(Self {
            text: text.to_owned(),
            prefix_len,
            router,
        })
    }

    /// Whether a path in canonical form matches.
    #[must_use]
    pub fn matches(&self, canonical: &str) -> bool {
        match &self.router {
            None => self.text == canonical,
            Some(router) => canonical.starts_with(self.prefix()) && router.at(canonical).is_ok(),
        }
    }

    /// Whether this pattern matches every path that `other` matches, as far as one sample can tell.
    pub(super) fn covers(&self, other: &Self) -> bool {
        // A path that no pattern contains literally, with several segments for a parameter that takes them.
        let mut sample = String::new();
        let mut rest = other.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            let (parameter, after) = after.split_once('}').unwrap_or((after, ""));
            sample.push_str(before);
            sample.push_str(if parameter.starts_with('*') {
                "zq0/zq1"
            } else {
                "zq0"
            });
            rest = after;
        }
        sample.push_str(rest);
        self.text == other.text || self.matches(&sample)
    }

    /// The literal text that every matching path starts with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.text.get(..self.prefix_len).unwrap_or("")
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// The syntax of patterns, for errors.
const SYNTAX: &str = "a path that starts with \"/\", without \"//\", \".\", \"..\", \"?\" or \"#\", \
    in which {name} stands for a segment or one part of it and {*name}, as the last segment, for the rest";

/// The pattern with each parameter replaced by a letter, which must be a canonical path. `None` if braces
/// do not pair or a parameter has no valid name.
fn skeleton(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((literal, tail)) = rest.split_once('{') {
        let (parameter, tail) = tail.split_once('}')?;
        let name = parameter.strip_prefix('*').unwrap_or(parameter);
        let proper = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.is_empty() || !name.bytes().all(proper) {
            return None;
        }
        out.push_str(literal);
        out.push('p');
        rest = tail;
    }
    out.push_str(rest);
    (!out.contains(['{', '}'])).then_some(out)
}

impl PartialEq for PathPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for PathPattern {}

impl fmt::Debug for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PathPattern({:?})", self.text)
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
