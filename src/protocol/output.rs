//! Decides which JSON the status document may include as `output`.
//!
//! A client that parses the document parses the output with it. If its parser rejected the output, the
//! client could not see the job's state. So JSON that common parsers reject, or read in different ways, is
//! only at the result URL.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::value::RawValue;

/// Deepest nesting of arrays and objects. Parsers allow 64 (.NET) to 1,000 (Python) levels; the document
/// itself adds one.
pub const DEPTH_MAX: usize = 63;

/// Most characters of a number. 2¹²⁸ has 39 digits, a double in full 25; Python rejects integers with more
/// than 4,300.
pub const NUMBER_MAX: usize = 40;

/// Checks the content of a response for use as output. `None`: it is not JSON (RFC 8259), or
///
/// - it is nested deeper than [`DEPTH_MAX`],
/// - a number is longer than [`NUMBER_MAX`], or beyond what a double can hold,
/// - an object has a name twice (parsers keep the first, keep the last, or fail),
/// - a string has an escape of half a surrogate pair (no Unicode text can hold it).
#[must_use]
pub fn output(content: Vec<u8>) -> Option<Box<RawValue>> {
    let text = String::from_utf8(content).ok()?;
    let value = RawValue::from_string(text).ok()?;
    is_plain(value.get()).then_some(value)
}

/// An enclosing array or object.
enum Open<'a> {
    Array,
    /// Its names so far.
    Object(BTreeSet<Cow<'a, str>>),
}

/// Whether valid JSON is within the limits. One pass, without recursion.
fn is_plain(json: &str) -> bool {
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut rest = json;
    while let Some(first) = rest.bytes().next() {
        let len = match first {
            b'"' => string_len(rest),
            b'-' | b'0'..=b'9' => number_len(rest),
            _ => 1,
        };
        let Some((token, tail)) = rest.split_at_checked(len) else {
            return false;
        };
        rest = tail;
        match first {
            b'[' => open.push(Open::Array),
            b'{' => open.push(Open::Object(BTreeSet::new())),
            b']' | b'}' => {
                open.pop();
            }
            b'"' => {
                let Some(text) = string(token) else {
                    return false;
                };
                if let Some(Open::Object(names)) = open.last_mut()
                    && is_name(tail)
                    && !names.insert(text)
                {
                    return false;
                }
            }
            b'-' | b'0'..=b'9' if !is_plain_number(token) => return false,
            _ => {}
        }
        if open.len() > DEPTH_MAX {
            return false;
        }
    }
    true
}

/// The length of a string with its quotes.
fn string_len(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    });
    // `at` is relative to the first character after the opening quote.
    end.map_or(text.len(), |at| at.saturating_add(2))
}

fn number_len(text: &str) -> usize {
    let is_part = |byte: u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
    let end = text.bytes().position(|byte| !is_part(byte));
    end.unwrap_or(text.len())
}

/// The decoded string. `None`: it has half a surrogate pair.
fn string(token: &str) -> Option<Cow<'_, str>> {
    if token.contains('\\') {
        return serde_json::from_str(token).ok().map(Cow::Owned);
    }
    let inner = token.strip_prefix('"')?.strip_suffix('"')?;
    Some(Cow::Borrowed(inner))
}

/// Whether a string that is followed by `tail` is the name of a member.
fn is_name(tail: &str) -> bool {
    tail.trim_start_matches([' ', '\t', '\n', '\r'])
        .starts_with(':')
}

/// Whether every parser can read this number. The check is `serde_json`'s, which fails for what is too large;
/// the standard library's parser would add 14 KiB to the bundle, most of it a table.
fn is_plain_number(token: &str) -> bool {
    token.len() <= NUMBER_MAX && serde_json::from_str::<f64>(token).is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn shown(json: &str) -> bool {
        output(json.as_bytes().to_vec()).is_some()
    }

    /// Any value, written compact or with white space.
    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        let value = leaf.prop_recursive(8, 64, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        });
        (value, any::<bool>()).prop_map(|(value, wide)| {
            let text = if wide {
                serde_json::to_string_pretty(&value)
            } else {
                serde_json::to_string(&value)
            };
            text.unwrap_or_default()
        })
    }

    proptest! {
        #[test]
        fn plain_json_is_shown_as_it_was_sent(text in json()) {
            let output = output(text.clone().into_bytes());
            prop_assert_eq!(output.map(|it| it.get().to_owned()), Some(text));
        }

        /// serde_json refuses 128 levels, half a surrogate pair, and numbers that are too large.
        #[test]
        fn what_is_shown_a_strict_parser_can_read(
            text in r#"([\[\]{},:" \\]|\\ud8[0-9a-f]{2}|\\udc00|"[ab]":|[0-9eE.+-]{1,6}|true|null){0,24}"#,
        ) {
            if shown(&text) {
                prop_assert!(serde_json::from_str::<Value>(&text).is_ok(), "{}", text);
            }
        }

        #[test]
        fn nesting_is_shown_up_to_the_limit(depth in 0..4_000_usize, objects: bool) {
            let (open, close) = if objects { ("{\"a\":", "}") } else { ("[", "]") };
            let text = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            prop_assert_eq!(shown(&text), depth <= DEPTH_MAX);
        }

        #[test]
        fn integers_are_shown_up_to_the_limit(digits in 1..5_000_usize, at in 0..3_usize) {
            let number = "7".repeat(digits);
            let text = [number.clone(), format!("[1, {number}]"), format!("{{\"a\":{number}}}")];
            let text = text.get(at).cloned().unwrap_or_default();
            prop_assert_eq!(shown(&text), digits <= NUMBER_MAX);
        }

        #[test]
        fn an_object_with_a_name_twice_is_not_shown(name in "[a-c]{1,3}", other in "[a-c]{1,3}") {
            let text = format!("[{{\"{name}\" : \"{other}\", \"{other}\": [\"{name}\", \"{name}\"]}}]");
            prop_assert_eq!(shown(&text), name != other);
        }
    }

    #[test]
    fn what_parsers_read_in_different_ways_is_not_shown() {
        for text in [
            "{\"a\":1,\"\\u0061\":2}",
            "{\"a\":{\"b\":1,\"b\":2}}",
            "\"\\ud800\"",
            "[\"\\udc00\\ud800\"]",
            "1e400",
            "[-1E+999]",
            "1e000000000000000000000000000000000000000001",
        ] {
            assert!(serde_json::value::RawValue::from_string(text.to_owned()).is_ok());
            assert!(!shown(text), "{text}");
        }
        for text in [
            "{\"a\":{\"a\":1},\"b\":[{\"a\":1},{\"a\":1}]}",
            "{\"\\\"\":1,\"\\\\\":[\"\\\\\",\"]\"]}",
            "\"\\ud83d\\ude00\"",
            "1.7976931348623157e308",
            " 7 ",
        ] {
            assert!(shown(text), "{text}");
        }
    }
}
