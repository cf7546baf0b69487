//! Suggestions for misspelled fields.

use super::names::FIELDS;
use super::place::{Key, Place};

/// Most edits between a misspelled name and the suggested one.
const MAX_EDITS: usize = 2;

/// Advice about an unknown field.
pub(super) fn suggestion(key: &str, known: &[&str], place: &Place) -> String {
    let close = known.iter().map(|name| (edits(key, name), name));
    // Short names are close to many others.
    let close =
        close.filter(|(edits, name)| *edits <= MAX_EDITS && edits.saturating_mul(2) < name.len());
    if let Some((_, name)) = close.min_by_key(|(edits, _)| *edits) {
        return format!("did you mean {name:?}?");
    }
    let in_rule = place.path.iter().any(|key| matches!(key, Key::Index(_)));
    let elsewhere = FIELDS.iter().find(|(_, fields)| fields.contains(&key));
    match elsewhere {
        Some(("", _)) => "allowed: outside the rules, under [vars.RAINCHECK]".to_owned(),
        Some(("rules", _)) if !in_rule => {
            "allowed: in a rule, under [[vars.RAINCHECK.rules]]".to_owned()
        }
        _ => "allowed: the fields in docs/configuration.md".to_owned(),
    }
}

/// The number of insertions, deletions, replacements and swaps of neighbours that turn one name into the
/// other (optimal string alignment distance). `-` equals `_`, and case does not count.
fn edits(one: &str, other: &str) -> usize {
    let plain = |text: &str| -> Vec<char> {
        let lower = text.chars().map(|c| c.to_ascii_lowercase());
        lower.map(|c| if c == '-' { '_' } else { c }).collect()
    };
    let (one, other) = (plain(one), plain(other));
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, &a) in one.iter().enumerate() {
        let mut current = vec![row.saturating_add(1)];
        for (column, &b) in other.iter().enumerate() {
            let at = |line: &[usize], index: usize| line.get(index).copied().unwrap_or(usize::MAX);
            let replaced = at(&last, column).saturating_add(usize::from(a != b));
            let removed = at(&last, column.saturating_add(1)).saturating_add(1);
            let inserted = at(&current, column).saturating_add(1);
            let previous = |chars: &[char], index: usize| {
                index
                    .checked_sub(1)
                    .and_then(|index| chars.get(index).copied())
            };
            let swapped = previous(&one, row) == Some(b) && previous(&other, column) == Some(a);
            let swap = if swapped {
                let column = column.saturating_sub(1);
                at(&before, column).saturating_add(1)
            } else {
                usize::MAX
            };
            current.push(replaced.min(removed).min(inserted).min(swap));
        }
        before = std::mem::replace(&mut last, current);
    }
    last.last().copied().unwrap_or(usize::MAX)
}
