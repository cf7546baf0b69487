//! Times as documents and fields write them.

use chrono::{DateTime, Datelike, NaiveDateTime, Timelike, Utc};

use crate::job::{Millis, UnixMillis};

/// The last millisecond that RFC 3339 can write: the end of the year 9999.
const RFC3339_MAX: u64 = 253_402_300_799_999;

/// The three forms of an HTTP date (RFC 9110 section 5.6.7): IMF-fixdate, RFC 850, asctime.
const HTTP_DATE_FORMS: [&str; 3] = [
    "%a, %d %b %Y %H:%M:%S GMT",
    "%A, %d-%b-%y %H:%M:%S GMT",
    "%a %b %e %H:%M:%S %Y",
];

/// RFC 3339 in UTC with milliseconds: `2026-11-22T02:21:03.123Z`. A time beyond the year 9999,
/// which the format cannot write, becomes its last millisecond.
#[must_use]
pub fn rfc3339(at: UnixMillis) -> String {
    let millis = i64::try_from(at.0.min(RFC3339_MAX)).unwrap_or(0);
    let date = DateTime::<Utc>::from_timestamp_millis(millis).unwrap_or_default();
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        date.year(),
        date.month(),
        date.day(),
        date.hour(),
        date.minute(),
        date.second(),
        date.timestamp_subsec_millis(),
    )
}

/// Reads an RFC 3339 time with any offset; parts of a millisecond are cut off. `None` also for times
/// before 1970.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<UnixMillis> {
    let date = DateTime::parse_from_rfc3339(text).ok()?;
    u64::try_from(date.timestamp_millis()).ok().map(UnixMillis)
}

/// Reads an HTTP date in any of its three forms. `None` also for times before 1970.
///
/// A two-digit year below 69 is in this century.
#[must_use]
pub fn parse_http_date(text: &str) -> Option<UnixMillis> {
    let text = super::list::trim_ows(text);
    let date = HTTP_DATE_FORMS
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())?;
    u64::try_from(date.and_utc().timestamp_millis())
        .ok()
        .map(UnixMillis)
}

/// How long a `Retry-After` field asks to wait (RFC 9110 section 10.2.3): seconds, or a date, which
/// is counted from `now` and may be over already. `None` when it is neither. Not capped here.
#[must_use]
pub fn retry_after(value: &str, now: UnixMillis) -> Option<Millis> {
    let value = super::list::trim_ows(value);
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Millis::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    parse_http_date(value).map(|at| at.since(now))
}
