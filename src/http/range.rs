//! Byte ranges (RFC 9110 section 14). Only single ranges are supported. A request for several ranges or
//! another unit gets the whole content, which section 14.2 permits.

use super::{conditional, list};

/// A requested range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// `first-`: from this byte to the end.
    From(u64),
    /// `first-last`, both included, `first` not above `last`.
    Between(u64, u64),
    /// `-count`: this many bytes at the end.
    Last(u64),
}

/// The effect of a `Range` field on a body of known length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeOutcome {
    /// No range applies: the whole body, status 200.
    Whole,
    /// Status 206 with these bytes, both included.
    Part {
        /// Offset of the first byte.
        first: u64,
        /// Offset of the last byte, less than the body's length.
        last: u64,
    },
    /// Status 416: no byte of the body is in the range.
    Unsatisfiable,
}

impl ByteRange {
    /// Evaluates the value of a `Range` field for a body of `len` bytes.
    #[must_use]
    pub fn parse(header: &str, len: u64) -> RangeOutcome {
        Self::requested(header).map_or(RangeOutcome::Whole, |range| range.resolve(len))
    }

    /// Parses a field with exactly one byte range. `None`: it must be ignored. Numbers saturate on
    /// overflow.
    #[must_use]
    pub fn requested(header: &str) -> Option<Self> {
        let (unit, set) = header.split_once('=')?;
        if !list::trim_ows(unit).eq_ignore_ascii_case("bytes") {
            return None;
        }
        let mut ranges = set
            .split(',')
            .map(list::trim_ows)
            .filter(|range| !range.is_empty());
        let (first, last) = ranges.next()?.split_once('-')?;
        if ranges.next().is_some() {
            return None;
        }
        match (first.is_empty(), last.is_empty()) {
            (false, true) => Some(Self::From(number(first)?)),
            (true, false) => Some(Self::Last(number(last)?)),
            (false, false) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::Between(first, last))
            }
            (true, true) => None,
        }
    }

    /// Evaluates the range for a body of `len` bytes.
    #[must_use]
    pub const fn resolve(self, len: u64) -> RangeOutcome {
        let (first, wanted_last) = match self {
            Self::Last(0) => return RangeOutcome::Unsatisfiable,
            // Satisfiable by section 14.1.2, but Content-Range cannot express zero bytes.
            Self::Last(_) if len == 0 => return RangeOutcome::Whole,
            Self::Last(count) => (len.saturating_sub(count), u64::MAX),
            Self::From(first) => (first, u64::MAX),
            Self::Between(first, last) => (first, last),
        };
        if first >= len {
            return RangeOutcome::Unsatisfiable;
        }
        let end = len.saturating_sub(1);
        let last = if wanted_last < end { wanted_last } else { end };
        RangeOutcome::Part { first, last }
    }
}

/// Whether `If-Range` allows the range: its entity tag equals the body's, compared strongly (section
/// 13.1.5). A date never does; the response is then the whole body.
#[must_use]
pub fn if_range(value: &str, etag: &str) -> bool {
    conditional::is_same_strong(list::trim_ows(value), etag)
}

/// `Content-Range` of a 206.
#[must_use]
pub fn content_range(first: u64, last: u64, len: u64) -> String {
    format!("bytes {first}-{last}/{len}")
}

/// `Content-Range` of a 416.
#[must_use]
pub fn content_range_unsatisfied(len: u64) -> String {
    format!("bytes */{len}")
}

fn number(digits: &str) -> Option<u64> {
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_gives_a_part_inside_the_body_or_none(
            header in "(bytes=)?[0-9a-z, =-]{0,30}|.{0,30}",
            len: u64,
        ) {
            if let RangeOutcome::Part { first, last } = ByteRange::parse(&header, len) {
                prop_assert!(first <= last && last < len);
            }
        }

        #[test]
        fn a_range_gives_what_slicing_gives(len in 0u64..50, a in 0u64..60, b in 0u64..60) {
            let body: Vec<u64> = (0..len).collect();
            let cases = [
                (format!("bytes={a}-"), body.iter().copied().filter(|i| *i >= a).collect::<Vec<_>>()),
                (format!("bytes=-{a}"), body.iter().copied().filter(|i| i.saturating_add(a) >= len).collect()),
                (format!("bytes={a}-{b}"), body.iter().copied().filter(|i| *i >= a && *i <= b).collect()),
            ];
            for (header, expected) in cases {
                match ByteRange::parse(&header, len) {
                    RangeOutcome::Part { first, last } => {
                        prop_assert_eq!((first..=last).collect::<Vec<_>>(), expected);
                    }
                    RangeOutcome::Unsatisfiable => prop_assert!(expected.is_empty(), "{}", header),
                    RangeOutcome::Whole => prop_assert!(a > b || len == 0, "{}", header),
                }
            }
        }
    }
}
