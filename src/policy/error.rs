//! Configuration errors: the field, what was found, what is allowed.

use std::error::Error;
use std::fmt;

use super::place::{Key, Place};

/// An invalid field.
///
/// The text never contains a credential: the values of secret fields and of URLs with userinfo are
/// replaced by a description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The path of the field from the variables: `RAINCHECK`, `rules`, 0, `attempts`. The field may be
    /// absent.
    pub path: Vec<Key>,
    /// The same for people: `mount`, `rules[exports].attempts`, or in another variable
    /// `RAINCHECK_MORE.rules[exports].attempts`. A rule without a usable name is shown by position:
    /// `rules[#2]`.
    pub field: String,
    /// What was found there, shortened.
    pub found: String,
    /// What to do: `allowed: …` or `did you mean …?`.
    pub advice: String,
}

impl ConfigError {
    /// An error about the field `key` of the table at `place`.
    #[must_use]
    pub fn new(
        place: &Place,
        key: &str,
        found: impl Into<String>,
        allowed: impl Into<String>,
    ) -> Self {
        Self {
            path: place.path_of(key),
            field: format!("{}{key}", place.label),
            found: found.into(),
            advice: format!("allowed: {}", allowed.into()),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path: _,
            field,
            found,
            advice,
        } = self;
        write!(f, "{field}: found {found}; {advice}")
    }
}

impl Error for ConfigError {}

/// All errors of a configuration, in the order of the fields; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// `Ok(value)` if there are no errors.
    pub(super) fn unless_empty<T>(value: T, errors: Vec<ConfigError>) -> Result<T, Self> {
        if errors.is_empty() {
            Ok(value)
        } else {
            Err(Self(errors))
        }
    }

    /// The errors, at least one.
    #[must_use]
    pub fn as_slice(&self) -> &[ConfigError] {
        &self.0
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for ConfigErrors {
    /// One error per line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl Error for ConfigErrors {}
