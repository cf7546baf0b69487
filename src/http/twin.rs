//! Fields that a server may take for another one.
//!
//! Servers that pass fields as environment variables (CGI, WSGI, PHP, Rack) write every character of a name that
//! is neither a letter nor a digit as `_`. They cannot tell `X_Tenant` from `X-Tenant`.

use super::Headers;

/// Whether a server may take the two names for the same one; both in lower case.
#[must_use]
pub fn is_twin(name: &str, other: &str) -> bool {
    let written = |byte: u8| {
        if byte.is_ascii_alphanumeric() {
            byte
        } else {
            b'_'
        }
    };
    name.len() == other.len()
        && name
            .bytes()
            .zip(other.bytes())
            .all(|(one, two)| written(one) == written(two))
}

/// The names of fields that a server may take for one of the `configured`, in order and each once; among them
/// the configured names themselves.
#[must_use]
pub fn twins(headers: &Headers, configured: &[&str]) -> Vec<String> {
    let mut twins: Vec<String> = headers
        .iter()
        .filter(|(name, _)| configured.iter().any(|own| is_twin(name, own)))
        .map(|(name, _)| name.to_owned())
        .collect();
    twins.sort_unstable();
    twins.dedup();
    twins
}
