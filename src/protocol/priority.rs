//! The `Priority` request field (RFC 9218).

use std::convert::Infallible;

use sfv::visitor::{DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor};
use sfv::{BareItemFromInput, KeyRef, Parser};

use crate::job::Priority;

/// The urgency of a `Priority` field, 0 (most urgent) to 7. `None` if it is absent or out of range, or if the
/// field is not a structured-field dictionary; the default is then 3 (section 4.1).
#[must_use]
pub fn urgency(value: &str) -> Option<u8> {
    let mut urgency = None;
    Parser::new(value)
        .parse_dictionary_with_visitor(Members(&mut urgency))
        .ok()?;
    urgency
}

/// The queue for an urgency: 0 to 2 high, 3 and 4 normal, above that low.
#[must_use]
pub const fn to_priority(urgency: u8) -> Priority {
    match urgency {
        0..=2 => Priority::High,
        3..=4 => Priority::Normal,
        _ => Priority::Low,
    }
}

struct Members<'a>(&'a mut Option<u8>);

impl<'de> DictionaryVisitor<'de> for Members<'_> {
    type Out = ();
    type Error = Infallible;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Infallible> {
        Ok((key.as_str() == "u").then_some(Urgency(self.0)))
    }

    fn finish(self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// The member `u`. If it is repeated, the last one counts (RFC 9651 section 4.2.2).
struct Urgency<'a>(&'a mut Option<u8>);

impl<'de> EntryVisitor<'de> for Urgency<'_> {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'de>, Infallible> {
        Ok(move |item: BareItemFromInput<'de>| {
            *self.0 = item
                .as_integer()
                .and_then(|number| u8::try_from(i64::from(number)).ok())
                .filter(|urgency| *urgency <= 7);
            Ok::<_, Infallible>(Ignored)
        })
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Infallible> {
        *self.0 = None;
        Ok(Ignored)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_gives_an_urgency_in_range_or_none(value in ".{0,40}") {
            prop_assert!(urgency(&value).is_none_or(|u| u <= 7));
        }

        #[test]
        fn an_urgency_is_what_was_sent_and_more_urgent_is_never_later(u in 0u8..8) {
            prop_assert_eq!(urgency(&format!("i, u={u};x=1, other=(1 2)")), Some(u));
            let rank = |u| Priority::ALL.iter().position(|p| *p == to_priority(u));
            prop_assert!(rank(u) <= rank(u.saturating_add(1)));
        }
    }
}
