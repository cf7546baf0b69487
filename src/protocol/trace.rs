//! The `traceparent` field (W3C Trace Context, level 1): an attempt continues its client's trace.

use crate::http::hex;

/// Length of a version 00 field.
const LENGTH: usize = 55;

/// The flags kept from versions above 00: sampled and random (section 3.2.2.5 and level 2).
const KNOWN_FLAGS: u8 = 0b11;

/// A trace that can be continued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent<'a> {
    /// 32 lower-case hexadecimal digits.
    pub trace_id: &'a str,
    /// The caller's span, 16 lower-case hexadecimal digits.
    pub parent_id: &'a str,
    /// Bit 0: the caller may have recorded trace data.
    pub flags: u8,
}

impl<'a> TraceParent<'a> {
    /// Parses the field. `None`: it is invalid, and both it and `tracestate` must be ignored.
    #[must_use]
    pub fn parse(value: &'a str) -> Option<Self> {
        let mut parts = crate::http::list::trim_ows(value).split('-');
        let (version, trace_id) = (parts.next()?, parts.next()?);
        let (parent_id, flags) = (parts.next()?, parts.next()?);
        let more = parts.next().is_some();
        let is_valid = hex::is_lower(version, 2)
            && version != "ff"
            && !(version == "00" && more)
            && hex::is_lower(trace_id, 32)
            && hex::is_lower(parent_id, 16)
            && hex::is_lower(flags, 2)
            && trace_id.bytes().any(|digit| digit != b'0')
            && parent_id.bytes().any(|digit| digit != b'0');
        if !is_valid {
            return None;
        }
        let flags = u8::from_str_radix(flags, 16).ok()?;
        Some(Self {
            trace_id,
            parent_id,
            flags: if version == "00" {
                flags
            } else {
                flags & KNOWN_FLAGS
            },
        })
    }

    /// The field for the next hop: the same trace and flags, with `span` as the parent. `None` for a span of
    /// zeros, which is invalid.
    #[must_use]
    pub fn child(&self, span: [u8; 8]) -> Option<String> {
        render(self.trace_id, span, self.flags)
    }
}

/// A field that starts a new trace without a sampling decision. `None` if an id is all zeros.
#[must_use]
pub fn start(trace: [u8; 16], span: [u8; 8]) -> Option<String> {
    if trace == [0; 16] {
        return None;
    }
    render(&hex::encode(&trace), span, 0)
}

fn render(trace_id: &str, span: [u8; 8], flags: u8) -> Option<String> {
    if span == [0; 8] {
        return None;
    }
    let mut field = String::with_capacity(LENGTH);
    field.push_str("00-");
    field.push_str(trace_id);
    field.push('-');
    field.push_str(&hex::encode(&span));
    field.push('-');
    field.push_str(&hex::encode(&[flags]));
    Some(field)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_can_be_read(text in "[0-9a-f-]{0,60}|.{0,60}") {
            let _ = TraceParent::parse(&text);
        }

        #[test]
        fn a_child_keeps_trace_and_flags_and_has_the_new_parent(trace: [u8; 16], flags: u8, span: [u8; 8]) {
            prop_assume!(trace != [0; 16] && span != [0; 8]);
            let client = format!("00-{}-00f067aa0ba902b7-{flags:02x}", hex::encode(&trace));
            let parent = TraceParent::parse(&client).unwrap();
            let child = parent.child(span).unwrap();
            prop_assert_eq!(child.len(), LENGTH);
            let child = TraceParent::parse(&child).unwrap();
            prop_assert_eq!((child.trace_id, child.flags), (parent.trace_id, flags));
            prop_assert_eq!(child.parent_id, hex::encode(&span));
        }

        #[test]
        fn a_started_trace_is_valid_unless_an_id_is_zero(trace: [u8; 16], span: [u8; 8]) {
            let started = start(trace, span);
            prop_assert_eq!(started.is_some(), trace != [0; 16] && span != [0; 8]);
            prop_assert!(started.is_none_or(|field| TraceParent::parse(&field).is_some()));
        }
    }
}
