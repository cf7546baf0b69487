//! Times in documents and header fields.

use chrono::{DateTime, SecondsFormat, Utc};

use crate::job::{Millis, UnixMillis};

/// The last millisecond that RFC 3339 can write: the end of the year 9999.
const RFC3339_MAX: u64 = 253_402_300_799_999;

/// Formats a time as RFC 3339 in UTC with milliseconds: `2026-11-22T02:21:03.123Z`. A time after the year
/// 9999, which the format cannot express, becomes the last millisecond of that year.
#[must_use]
pub fn rfc3339(at: UnixMillis) -> String {
    let millis = i64::try_from(at.0.min(RFC3339_MAX)).unwrap_or(0);
    let date = DateTime::<Utc>::from_timestamp_millis(millis).unwrap_or_default();
    date.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Parses an RFC 3339 time with any offset; fractions of a millisecond are cut off. `None` also for times
/// before 1970.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<UnixMillis> {
    let date = DateTime::parse_from_rfc3339(text).ok()?;
    u64::try_from(date.timestamp_millis()).ok().map(UnixMillis)
}

/// Parses an HTTP date in any of its three forms (RFC 9110 section 5.6.7). `None` also for times before 1970.
///
/// A two-digit year below 70 is in this century.
#[must_use]
pub fn parse_http_date(text: &str) -> Option<UnixMillis> {
    let text = crate::http::list::trim_ows(text);
    let date = DateTime::<Utc>::from(httpdate::parse_http_date(text).ok()?);
    u64::try_from(date.timestamp_millis()).ok().map(UnixMillis)
}

/// The wait that a `Retry-After` field asks for (RFC 9110 section 10.2.3): seconds, or a date relative to
/// `now` (zero if it has passed). `None` if it is neither. Not capped here.
#[must_use]
pub fn retry_after(value: &str, now: UnixMillis) -> Option<Millis> {
    let value = crate::http::list::trim_ows(value);
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Millis::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    parse_http_date(value).map(|at| at.since(now))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_writable_time_survives_a_round_trip(millis in 0..=RFC3339_MAX) {
            let text = rfc3339(UnixMillis(millis));
            prop_assert_eq!(text.len(), 24);
            prop_assert_eq!(parse_rfc3339(&text), Some(UnixMillis(millis)));
        }

        #[test]
        fn a_time_beyond_the_format_is_its_last_millisecond(millis in RFC3339_MAX..) {
            prop_assert_eq!(rfc3339(UnixMillis(millis)), "9999-12-31T23:59:59.999Z");
        }

        #[test]
        fn written_times_sort_as_they_happened(a in 0..=RFC3339_MAX, b in 0..=RFC3339_MAX) {
            prop_assert_eq!(rfc3339(UnixMillis(a)).cmp(&rfc3339(UnixMillis(b))), a.cmp(&b));
        }

        #[test]
        fn any_text_can_be_read(text in ".{0,40}", now: u64) {
            let _ = (parse_rfc3339(&text), parse_http_date(&text), retry_after(&text, UnixMillis(now)));
        }

        #[test]
        fn text_shaped_like_a_date_can_be_read(
            text in "(Sun|Mon|Sunday|Xyz),? [0-9]{1,3}[ -](Nov|Feb|Q)[ -][0-9]{1,6} [0-9:]{1,9}( GMT)?",
            now: u64,
        ) {
            let _ = retry_after(&text, UnixMillis(now));
        }

        #[test]
        fn seconds_are_what_was_sent(seconds: u64, now: u64) {
            prop_assert_eq!(
                retry_after(&format!(" {seconds} "), UnixMillis(now)),
                Some(Millis::from_secs(seconds))
            );
        }
    }
}
