//! Takes fields out of a table one by one, and collects their errors.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde_json::Value;

use super::error::ConfigError;
use super::place::Place;
use super::suggest::suggestion;
use super::units::{duration_text, parse_duration, parse_size, size_text};
use crate::job::Millis;

/// A table of the configuration.
pub(crate) type Table = serde_json::Map<String, Value>;

/// Most characters of a value that an error shows.
const MAX_SHOWN_CHARS: usize = 60;

/// A table that is being read. Each getter removes its field; [`Fields::finish`] rejects the rest.
///
/// A getter returns `None` for an absent field and for an invalid one, so that reading goes on with the
/// default and finds more errors. [`Fields::is_sound`] tells the two apart.
pub(super) struct Fields {
    table: Table,
    place: Place,
    /// The places of fields that are not at `place`: the outermost table is merged from several variables.
    homes: BTreeMap<String, Place>,
    known: &'static [&'static str],
    errors: Vec<ConfigError>,
}

impl Fields {
    pub(super) fn new(table: Table, place: Place, known: &'static [&'static str]) -> Self {
        Self {
            table,
            place,
            homes: BTreeMap::new(),
            known,
            errors: Vec::new(),
        }
    }

    /// Adds a field from another table.
    pub(super) fn put(&mut self, key: String, value: Value, home: &Place) {
        self.homes.insert(key.clone(), home.clone());
        self.table.insert(key, value);
    }

    /// All errors, unknown fields last.
    pub(super) fn finish(mut self) -> Vec<ConfigError> {
        for key in std::mem::take(&mut self.table).keys() {
            let shown = shown_text(key);
            let field = format!("{}{}", self.home_of(key).label, shown.trim_matches('"'));
            let path = self.home_of(key).path_of(key);
            let advice = suggestion(key, self.known, &self.place);
            let found = "an unknown field".to_owned();
            self.errors.push(ConfigError {
                path,
                field,
                found,
                advice,
            });
        }
        self.errors
    }

    /// Adds the errors of a nested table.
    pub(super) fn absorb(&mut self, errors: Vec<ConfigError>) {
        self.errors.extend(errors);
    }

    pub(super) fn refuse(
        &mut self,
        key: &str,
        found: impl Into<String>,
        allowed: impl Into<String>,
    ) {
        let error = ConfigError::new(self.home_of(key), key, found, allowed);
        self.errors.push(error);
    }

    /// Whether a field and everything inside it has no error so far.
    pub(super) fn is_sound(&self, key: &str) -> bool {
        let field = format!("{}{key}", self.home_of(key).label);
        !self.errors.iter().any(|error| error.field == field)
    }

    /// The place of the table with this field.
    pub(super) fn home_of(&self, key: &str) -> &Place {
        self.homes.get(key).unwrap_or(&self.place)
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        debug_assert!(self.known.contains(&key), "{key} is read but not listed");
        self.table.remove(key)
    }

    pub(super) fn flag(&mut self, key: &str) -> Option<bool> {
        match self.take(key)? {
            Value::Bool(flag) => Some(flag),
            other => self.wrong(key, &other, "true or false"),
        }
    }

    pub(super) fn text(&mut self, key: &str, allowed: &str) -> Option<String> {
        match self.take(key)? {
            Value::String(text) => Some(text),
            other => self.wrong(key, &other, allowed),
        }
    }

    pub(super) fn texts(&mut self, key: &str, allowed: &str) -> Option<Vec<String>> {
        let Value::Array(items) = self.take_or_refuse(key, Value::is_array, allowed)? else {
            return None;
        };
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match item {
                Value::String(text) => texts.push(text),
                other => return self.wrong(key, &other, allowed),
            }
        }
        Some(texts)
    }

    /// An array of tables.
    pub(super) fn tables(&mut self, key: &str, allowed: &str) -> Option<Vec<Table>> {
        let Value::Array(items) = self.take_or_refuse(key, Value::is_array, allowed)? else {
            return None;
        };
        let mut tables = Vec::with_capacity(items.len());
        for item in items {
            match item {
                Value::Object(table) => tables.push(table),
                other => return self.wrong(key, &other, allowed),
            }
        }
        Some(tables)
    }

    pub(super) fn table(
        &mut self,
        key: &str,
        known: &'static [&'static str],
        allowed: &str,
    ) -> Option<Self> {
        match self.take(key)? {
            Value::Object(table) => Some(Self::new(table, self.home_of(key).table(key), known)),
            other => self.wrong(key, &other, allowed),
        }
    }

    /// One of a few names.
    pub(super) fn choice<T: Copy>(&mut self, key: &str, names: &[(&str, T)]) -> Option<T> {
        let value = self.take(key)?;
        let found = value
            .as_str()
            .and_then(|text| names.iter().find(|(name, _)| *name == text));
        if let Some((_, choice)) = found {
            return Some(*choice);
        }
        let quoted: Vec<String> = names.iter().map(|(name, _)| format!("{name:?}")).collect();
        self.wrong(key, &value, &quoted.join(", "))
    }

    /// A whole number within a range.
    pub(super) fn whole<T>(&mut self, key: &str, range: &RangeInclusive<T>) -> Option<T>
    where
        T: TryFrom<i64> + PartialOrd + std::fmt::Display,
    {
        let value = self.take(key)?;
        let number = value.as_i64().and_then(|number| T::try_from(number).ok());
        if let Some(number) = number.filter(|number| range.contains(number)) {
            return Some(number);
        }
        let allowed = format!("a whole number from {} to {}", range.start(), range.end());
        self.wrong(key, &value, &allowed)
    }

    /// A number with up to three decimals within a range, in thousandths.
    pub(super) fn permille(&mut self, key: &str, range: &RangeInclusive<u32>) -> Option<u32> {
        let value = self.take(key)?;
        // Compared before rounding, so that 0.9999 does not count as 1.
        let (least, most) = (f64::from(*range.start()), f64::from(*range.end()));
        match value.as_f64().map(|number| number * 1000.0) {
            Some(permille) if permille >= least && permille <= most => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "the range of u32 was checked"
                )]
                let permille = permille.round() as u32;
                Some(permille)
            }
            _ => {
                let allowed = format!("a number from {} to {}", least / 1000.0, most / 1000.0);
                self.wrong(key, &value, &allowed)
            }
        }
    }

    /// A duration within a range.
    pub(super) fn duration(&mut self, key: &str, range: &RangeInclusive<Millis>) -> Option<Millis> {
        let value = self.take(key)?;
        let span = value.as_str().and_then(parse_duration);
        if let Some(span) = span.filter(|span| range.contains(span)) {
            return Some(span);
        }
        let form = match span {
            Some(_) => "",
            None => ": a whole number and ms, s, m, h or d, such as \"30s\"",
        };
        let allowed = format!(
            "a duration from {:?} to {:?}{form}",
            duration_text(*range.start()),
            duration_text(*range.end())
        );
        self.wrong(key, &value, &allowed)
    }

    /// A size in bytes, from 1 up to a limit.
    pub(super) fn size(&mut self, key: &str, most: u64) -> Option<u64> {
        let value = self.take(key)?;
        let size = match &value {
            Value::Number(bytes) => bytes.as_u64(),
            Value::String(text) => parse_size(text),
            _ => None,
        };
        if let Some(size) = size.filter(|size| (1..=most).contains(size)) {
            return Some(size);
        }
        let allowed = format!("a size from \"1B\" to {:?}", size_text(most));
        self.wrong(key, &value, &allowed)
    }

    fn take_or_refuse(
        &mut self,
        key: &str,
        is_right: fn(&Value) -> bool,
        allowed: &str,
    ) -> Option<Value> {
        let value = self.take(key)?;
        if is_right(&value) {
            return Some(value);
        }
        self.wrong(key, &value, allowed)
    }

    /// Rejects a value of the wrong type or out of range.
    pub(super) fn wrong<T>(&mut self, key: &str, value: &Value, allowed: &str) -> Option<T> {
        self.refuse(key, shown(value), allowed);
        None
    }
}

/// Formats a value for an error.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => shown_text(text),
        Value::Null => "null".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Array(items) if items.is_empty() => "an empty array".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "a table".to_owned(),
    }
}

/// Formats a string for an error: quoted, escaped and shortened.
pub(super) fn shown_text(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN_CHARS) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or("")),
    }
}
