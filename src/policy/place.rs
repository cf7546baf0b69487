//! The place of a field: as text for people, as a path for tools.

use serde::Serialize;

use super::bindings::CONFIGURATION;

/// One step into a table or an array.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Key {
    /// A field of a table.
    Name(String),
    /// An entry of an array, from 0.
    Index(usize),
}

impl From<&str> for Key {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

/// A table of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The prefix of its fields' names in messages: empty, or `rules[exports].`.
    pub label: String,
    /// Its path.
    pub path: Vec<Key>,
}

impl Place {
    /// The outermost table of a variable. Fields of [`CONFIGURATION`] are shown
    /// without the variable's name.
    #[must_use]
    pub fn variable(name: &str) -> Self {
        let label = if name == CONFIGURATION {
            String::new()
        } else {
            format!("{name}.")
        };
        Self {
            label,
            path: vec![name.into()],
        }
    }

    /// The table in a field.
    #[must_use]
    pub fn table(&self, key: &str) -> Self {
        Self {
            label: format!("{}{key}.", self.label),
            path: self.path_of(key),
        }
    }

    /// A table in the array in a field; `label` is for people.
    #[must_use]
    pub fn entry(&self, key: &str, index: usize, label: &str) -> Self {
        let mut path = self.path_of(key);
        path.push(Key::Index(index));
        Self {
            label: format!("{}{key}[{label}].", self.label),
            path,
        }
    }

    /// The path of a field.
    #[must_use]
    pub fn path_of(&self, key: &str) -> Vec<Key> {
        let mut path = self.path.clone();
        path.push(key.into());
        path
    }
}
