//! Hashes: of bodies, of owners and keys, of request fingerprints.

use sha2::{Digest as _, Sha256};

use crate::http::hex;

/// SHA-256 in lower-case hexadecimal.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(&Sha256::digest(bytes))
}

/// SHA-256 over several parts. Each part is prefixed with its length, so that different lists of parts
/// never hash the same bytes.
#[must_use]
pub fn of_parts(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// The name by which an origin knows a job: the first half of SHA-256 over `raincheck-origin:` and the
/// id, in hexadecimal. It is the same in every attempt, and anybody with the id can compute it. It grants
/// nothing, while the id is the right to read and cancel the job and must not get into an origin's logs.
#[must_use]
pub fn name_at_origin(id: &str) -> String {
    let mut name = sha256_hex(format!("raincheck-origin:{id}").as_bytes());
    name.truncate(32);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_job_at_its_origin_is_computed_like_this() {
        // printf raincheck-origin:jID | sha256sum | cut -c1-32
        assert_eq!(name_at_origin("jID"), "a40cd7289ace24aed4b05fa7506536c6");
    }
}
