//! The `Idempotency-Key` request field (draft-ietf-httpapi-idempotency-key-header-07).

use std::convert::Infallible;
use std::fmt;

use sfv::visitor::Ignored;
use sfv::{BareItemFromInput, Parser};

/// Longest key in characters. The draft sets no limit; 255 is enough for any common identifier scheme.
pub const KEY_MAX: usize = 255;

/// A key that the client chose to identify a request and its repetitions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey {
    key: String,
    header: String,
}

/// Why a field value is not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// It is empty, with or without quotes.
    Empty,
    /// It has more than [`KEY_MAX`] characters.
    TooLong,
    /// It starts with a quote but is not a structured-field string (RFC 9651 section 3.3.3).
    NotAString,
    /// It is unquoted and has a character other than visible ASCII without `"` and `,`. A comma would be
    /// ambiguous: repeated fields are joined with commas.
    NotVisible,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the key is empty"),
            Self::TooLong => write!(f, "the key is longer than {KEY_MAX} characters"),
            Self::NotAString => f.write_str(
                "the key starts with a quotation mark but is not a structured-field string",
            ),
            Self::NotVisible => f.write_str(
                "an unquoted key may contain only visible ASCII characters, without quotation marks and commas",
            ),
        }
    }
}

impl std::error::Error for KeyError {}

impl IdempotencyKey {
    /// Parses the field's value. Pass it [`joined`](crate::http::Headers::joined), so that a field sent twice is
    /// rejected.
    ///
    /// The draft requires a structured-field string, `"…"`. Unquoted keys are common and accepted too. Both
    /// spellings of a key give the same [`as_str`](Self::as_str).
    pub fn parse(value: &str) -> Result<Self, KeyError> {
        let header = crate::http::list::trim_ows(value);
        let key = if header.starts_with('"') {
            let mut key = None;
            // Unknown parameters are ignored, as is usual for structured fields.
            let visit = |item: BareItemFromInput<'_>| {
                key = item.as_string().map(|text| text.as_str().to_owned());
                Ok::<_, Infallible>(Ignored)
            };
            Parser::new(header)
                .parse_item_with_visitor(visit)
                .map_err(|_| KeyError::NotAString)?;
            key.ok_or(KeyError::NotAString)?
        } else {
            let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b',';
            if !header.bytes().all(plain) {
                return Err(KeyError::NotVisible);
            }
            header.to_owned()
        };
        match key.len() {
            0 => Err(KeyError::Empty),
            1..=KEY_MAX => Ok(Self {
                key,
                header: header.to_owned(),
            }),
            _ => Err(KeyError::TooLong),
        }
    }

    /// The key for the origin if the client sent none. `name` is the job's name at the origin, visible ASCII
    /// without quotes.
    #[must_use]
    pub fn of_job(name: &str) -> Self {
        Self {
            key: name.to_owned(),
            header: format!("\"{name}\""),
        }
    }

    /// The key without quotes, which identifies the job.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.key
    }

    /// The field value for the origin, exactly as the client sent it.
    #[must_use]
    pub fn to_header(&self) -> &str {
        &self.header
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_key_of_a_job_is_one_that_clients_could_send() {
        let key = IdempotencyKey::of_job("jAbc_-1");
        assert_eq!(IdempotencyKey::parse(key.to_header()), Ok(key));
    }

    proptest! {
        #[test]
        fn any_text_is_a_key_within_the_limit_or_refused(value in ".{0,300}") {
            if let Ok(key) = IdempotencyKey::parse(&value) {
                prop_assert!((1..=KEY_MAX).contains(&key.as_str().len()));
                prop_assert_eq!(key.to_header(), crate::http::list::trim_ows(&value));
            }
        }

        #[test]
        fn every_printable_key_survives_quoting(key in "[ -~]{1,255}") {
            let quoted = format!("\"{}\"", key.replace('\\', "\\\\").replace('"', "\\\""));
            let parsed = IdempotencyKey::parse(&quoted);
            prop_assert_eq!(parsed.as_ref().map(IdempotencyKey::as_str), Ok(key.as_str()));
        }

        #[test]
        fn a_key_is_the_same_with_and_without_quotes(key in "[A-Za-z0-9_:./+=-]{1,255}") {
            let plain = IdempotencyKey::parse(&key).unwrap();
            let quoted = IdempotencyKey::parse(&format!("\"{key}\"")).unwrap();
            prop_assert_eq!(plain.as_str(), quoted.as_str());
            prop_assert_ne!(plain.to_header(), quoted.to_header());
        }

        #[test]
        fn a_key_over_the_limit_is_refused(key in "[a-z]{256,400}") {
            prop_assert_eq!(IdempotencyKey::parse(&key), Err(KeyError::TooLong));
            prop_assert_eq!(IdempotencyKey::parse(&format!("\"{key}\"")), Err(KeyError::TooLong));
        }
    }
}
