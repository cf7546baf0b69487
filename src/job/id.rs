//! The name of a job, which is also the capability to read and cancel it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

/// Bytes before encoding: shard (2), row key (6), secret (16).
const BYTES: usize = 24;

/// Length of the text form: a leading `j`, then 24 bytes in base64url, which need no padding bits,
/// so that every id has exactly one text.
pub const TEXT_LEN: usize = 33;

/// The text starts with a letter so that a shell never takes an id for an option.
const PREFIX: char = 'j';

/// Largest row key: 48 bits, which is also safe as a JavaScript number.
pub const ROW_KEY_MAX: u64 = (1 << 48) - 1;

/// Where a job's record lives inside its shard: the primary key of its row.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct RowKey(pub u64);

/// The unguessable part of an id: a version 4 UUID, 122 random bits.
#[derive(Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Secret(pub uuid::Uuid);

impl Secret {
    /// Makes a secret from 16 random bytes (6 of the 128 bits become the UUID's version and variant).
    #[must_use]
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }

    /// Compares in constant time, because a secret is what grants access.
    #[must_use]
    pub fn matches(&self, stored: &[u8]) -> bool {
        self.0.as_bytes().as_slice().ct_eq(stored).into()
    }
}

impl fmt::Debug for Secret {
    /// Never prints the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A job's id. It carries its shard, so no lookup is ever needed to find the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobId {
    /// The shard that holds the record.
    pub shard: u16,
    /// The row in that shard.
    pub key: RowKey,
    /// What makes the id unguessable.
    pub secret: Secret,
}

impl JobId {
    /// Reads the text form. `None` for anything that [`fmt::Display`] would not have written.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != TEXT_LEN {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        let (shard, rest) = bytes.split_first_chunk::<2>()?;
        let (key, rest) = rest.split_first_chunk::<6>()?;
        let secret = uuid::Uuid::from_slice(rest).ok()?;
        if secret.get_version_num() != 4 {
            return None;
        }
        let key = key
            .iter()
            .fold(0_u64, |key, byte| (key << 8) | u64::from(*byte));
        Some(Self {
            shard: u16::from_be_bytes(*shard),
            key: RowKey(key),
            secret: Secret(secret),
        })
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.extend(self.shard.to_be_bytes());
        bytes.extend(
            self.key
                .0
                .min(ROW_KEY_MAX)
                .to_be_bytes()
                .into_iter()
                .skip(2),
        );
        bytes.extend(self.secret.0.as_bytes());
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}
