//! The request target: path and query (RFC 9112 section 3.2.1), and its URL at the origin.

use std::fmt;

use super::segments;

/// Longest target in bytes. Cloudflare accepts URLs of up to 16 KB; the same limit applies to local runs and
/// bounds what is stored.
pub const TARGET_MAX: usize = 16 * 1024;

/// Path and query of a request, as the client sent them: `//`, `%2e%2e` and escapes stay as they are.
///
/// It begins with `/` and has only visible ASCII, without `#`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target(String);

/// Why a target is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// It is longer than [`TARGET_MAX`] bytes.
    TooLong,
    /// It does not begin with `/`.
    NotAPath,
    /// It has a control character, a space, a byte outside ASCII, or `#`. None is valid in a target, and
    /// URL parsers treat them differently.
    Character,
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

/// The URL of `target` at an origin, whose base is `scheme://authority` with an optional path.
///
/// No target can change scheme or authority, which end before its first `/`. If the base has a path, no
/// target can climb out of it either: `..` segments, which the runtime's URL parser would resolve, are
/// resolved first, relative to the root of the target.
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
    if has_path && path.split(['/', '\\']).any(segments::is_parent) {
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

/// Removes dot segments as a URL parser does for `https`, where `\` separates like `/`.
fn resolve_dots(path: &str) -> String {
    let (mut kept, ends_in_dots) = segments::resolve(path.split(['/', '\\']).skip(1));
    if ends_in_dots {
        // For the slash at the end.
        kept.push("");
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::*;

    /// Targets made of what confuses URL parsers.
    fn nasty() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "/",
            "\\",
            "//",
            "@",
            ":",
            "?",
            "%2e",
            "%2E%2e",
            "..",
            ".",
            "%2f",
            "%5c",
            "evil.example",
            "[::1]",
            "http:",
            "user:pw@",
            ":443",
            "%00",
            "a",
            ";",
            "&",
            "=",
            "%",
            "|",
            "^",
            "'",
        ]);
        prop::collection::vec(piece, 0..12).prop_map(|pieces| format!("/{}", pieces.concat()))
    }

    #[test]
    fn empty_segments_before_dots_are_kept_under_a_base_with_a_path() {
        let target = Target::parse("///%2E%2e").unwrap();
        assert_eq!(join("https://h/v1", &target), "https://h/v1//");
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_kept_byte_for_byte(text in "/?.{0,60}") {
            if let Ok(target) = Target::parse(&text) {
                prop_assert_eq!(target.as_str(), text.as_str());
            }
        }

        #[test]
        fn no_target_leaves_the_origin(text in nasty(), slash: bool) {
            let base = if slash { "https://origin.example:8443/" } else { "https://origin.example:8443" };
            let target = Target::parse(&text).unwrap();
            let url = Url::parse(&join(base, &target)).unwrap();
            prop_assert_eq!(url.origin().ascii_serialization(), "https://origin.example:8443");
            prop_assert_eq!((url.username(), url.password(), url.fragment()), ("", None, None));
        }

        #[test]
        fn no_target_climbs_out_of_the_path_of_the_base(text in nasty()) {
            let target = Target::parse(&text).unwrap();
            let joined = join("https://origin.example/v1/api/", &target);
            let url = Url::parse(&joined).unwrap();
            prop_assert!(url.path().starts_with("/v1/api/"), "{}", joined);
        }

        #[test]
        fn a_base_with_a_path_sees_the_path_that_a_bare_base_sees(text in nasty()) {
            let target = Target::parse(&text).unwrap();
            let bare = Url::parse(&join("https://origin.example", &target)).unwrap();
            let based = Url::parse(&join("https://origin.example/v1", &target)).unwrap();
            prop_assert_eq!(based.path(), format!("/v1{}", bare.path()));
            prop_assert_eq!(based.query(), bare.query());
        }

        #[test]
        fn a_target_without_dot_segments_is_joined_byte_for_byte(text in "/[a-z/%@:?&=]{0,40}") {
            let target = Target::parse(&text).unwrap();
            prop_assert_eq!(join("https://h", &target), format!("https://h{text}"));
        }
    }
}
