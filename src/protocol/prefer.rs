//! The `Prefer` request field (RFC 7240).

use crate::http::list::{self, Quoting};

/// The preferences that Raincheck acts on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prefer {
    /// `respond-async`: respond with 202 rather than keep the client waiting (RFC 7240 section 4.1).
    pub respond_async: bool,
    /// `wait=N`: how long the client is willing to wait, in seconds (section 4.3). Not capped here.
    pub wait: Option<u32>,
}

impl Prefer {
    /// Parses all `Prefer` fields of a request, in order.
    ///
    /// Names are case-insensitive. If a preference occurs twice, only the first counts, even with an invalid
    /// value (section 2). Ignored are unknown preferences, parameters, a `wait` without a number of
    /// seconds, and a `respond-async` with a value, which the RFC does not define.
    pub fn parse<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let mut respond_async = None;
        let mut wait = None;
        for value in values {
            for preference in list::split(value, b',', Quoting::Strings) {
                let (name, word) = name_and_word(preference);
                if name.eq_ignore_ascii_case("respond-async") {
                    respond_async.get_or_insert(is_empty(word));
                } else if name.eq_ignore_ascii_case("wait") {
                    wait.get_or_insert_with(|| seconds(word));
                }
            }
        }
        Self {
            respond_async: respond_async.unwrap_or(false),
            wait: wait.flatten(),
        }
    }
}

/// The preferences for the origin: all except those that Raincheck acts on. Otherwise an origin that also
/// supports `respond-async` would respond to the replay with a 202 of its own. `None`: none is left.
#[must_use]
pub fn left_for_origin<'a>(values: impl Iterator<Item = &'a str>) -> Option<String> {
    let ours = |preference: &&str| {
        let (name, _) = name_and_word(preference);
        name.eq_ignore_ascii_case("respond-async") || name.eq_ignore_ascii_case("wait")
    };
    let left: Vec<&str> = values
        .flat_map(|value| list::split(value, b',', Quoting::Strings))
        .filter(|preference| !ours(preference))
        .collect();
    (!left.is_empty()).then(|| left.join(", "))
}

/// Splits `name = word ; parameters` and drops the parameters. Without `=` the word is empty.
fn name_and_word(preference: &str) -> (&str, &str) {
    let main = list::split(preference, b';', Quoting::Strings)
        .next()
        .unwrap_or_default();
    match main.split_once('=') {
        Some((name, word)) => (list::trim_ows(name), list::trim_ows(word)),
        None => (main, ""),
    }
}

/// An empty quoted string is the same as no value (section 2).
fn is_empty(word: &str) -> bool {
    word.is_empty() || word == "\"\""
}

/// A whole number of seconds, as a token or a quoted string. Saturates on overflow.
fn seconds(word: &str) -> Option<u32> {
    let digits = word
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(word);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_can_be_read(values in prop::collection::vec(".{0,40}", 0..4)) {
            let _ = Prefer::parse(values.iter().map(String::as_str));
        }

        #[test]
        fn one_field_or_several_make_no_difference(
            members in prop::collection::vec("(respond-async|wait=[0-9]{1,12}|wait|foo=\"a,b\"|x;y=\"z\")", 1..6),
        ) {
            let split = Prefer::parse(members.iter().map(String::as_str));
            prop_assert_eq!(Prefer::parse([members.join(", ").as_str()].into_iter()), split);
        }

        #[test]
        fn a_wait_is_what_was_sent(seconds: u32, case: bool) {
            let name = if case { "Wait" } else { "wait" };
            let value = format!("{name} = \"{seconds}\"; a=b, wait=1");
            prop_assert_eq!(Prefer::parse([value.as_str()].into_iter()).wait, Some(seconds));
        }
    }
}
