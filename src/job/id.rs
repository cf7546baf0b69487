//! The id of a job, which is also the capability to read and cancel it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Bytes before encoding: shard (2), row key (6), secret (16).
const BYTES: usize = 24;

/// Length of the text form: `j`, then 24 bytes in base64url. They need no padding bits, so every id has
/// exactly one text.
pub const TEXT_LEN: usize = 33;

/// The text starts with a letter, because a leading `-` would make it a shell option.
const PREFIX: char = 'j';

/// Largest row key: 48 bits, which is also safe as a JavaScript number.
pub const ROW_KEY_MAX: u64 = (1 << 48) - 1;

/// Bits of a row key for the row in its partition. The other 26 are for the partition.
const SEQUENCE_BITS: u32 = 22;

/// Largest number of a row inside its partition.
pub const SEQUENCE_MAX: u32 = (1 << SEQUENCE_BITS) - 1;

/// Largest number of a partition.
pub const PARTITION_MAX: u32 = (1 << (48 - SEQUENCE_BITS)) - 1;

/// Where a job's record lives inside its shard: the number of a partition (26 bits), and the number
/// of a row in it (22 bits). The whole is the primary key of the row.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct RowKey(pub u64);

impl RowKey {
    /// The key of a row in a partition. Neither number may be above its maximum.
    #[must_use]
    pub fn new(partition: u32, sequence: u32) -> Self {
        Self((u64::from(partition) << SEQUENCE_BITS) | u64::from(sequence))
    }

    /// The key of the first row of a partition.
    #[must_use]
    pub fn first_of(partition: u32) -> Self {
        Self::new(partition, 1)
    }

    /// The number of the partition. Above [`PARTITION_MAX`] only for a key that no shard gave.
    #[must_use]
    pub fn partition(self) -> u32 {
        u32::try_from(self.0 >> SEQUENCE_BITS).unwrap_or(u32::MAX)
    }

    /// The number of the row in its partition.
    #[must_use]
    pub fn sequence(self) -> u32 {
        u32::try_from(self.0 & u64::from(SEQUENCE_MAX)).unwrap_or(SEQUENCE_MAX)
    }
}

/// The unguessable part of an id, in the form of a version 8 UUID (RFC 9562 section 5.8): 60 random
/// bits, then 62 bits of a MAC over them and the row's place. The row stores the whole secret; once the
/// row is gone, the MAC still tells a genuine id from a forged one.
#[derive(Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Secret(pub uuid::Uuid);

/// The key with which a shard makes and checks the secrets of its ids.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct IdKey(pub [u8; 32]);

impl fmt::Debug for IdKey {
    /// Never prints the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdKey(…)")
    }
}

impl Secret {
    /// Creates a secret from 16 bytes; 6 of the 128 bits become the UUID's version and variant.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// Creates the secret of the job in a row from random bytes.
    ///
    /// The MAC is SHA-256 over key, shard, row and random bits, truncated to 8 bytes. All parts have fixed
    /// lengths, and a truncated hash does not allow length extension, so HMAC is not needed.
    #[must_use]
    pub fn seal(key: &IdKey, shard: u16, row: RowKey, random: [u8; 8]) -> Self {
        let mut bytes = [0; 16];
        if let Some((first, _)) = bytes.split_first_chunk_mut::<8>() {
            *first = random;
        }
        let mut bytes = *Self::from_bytes(bytes).0.as_bytes();
        if let Some((random, mac)) = bytes.split_first_chunk_mut::<8>() {
            let mut hasher = Sha256::new();
            hasher.update(key.0);
            hasher.update(shard.to_be_bytes());
            hasher.update(row.0.to_be_bytes());
            hasher.update(random);
            for (byte, hashed) in mac.iter_mut().zip(hasher.finalize()) {
                *byte = hashed;
            }
        }
        Self::from_bytes(bytes)
    }

    /// Whether this secret was created with the key for that row. Runs in constant time.
    #[must_use]
    pub fn is_sealed(&self, key: &IdKey, shard: u16, row: RowKey) -> bool {
        let bytes = self.0.as_bytes();
        bytes
            .first_chunk::<8>()
            .is_some_and(|random| self.matches(Self::seal(key, shard, row, *random).0.as_bytes()))
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

/// A job's id. It contains the shard and the row, so no lookup is needed to find the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobId {
    /// The shard that holds the record.
    pub shard: u16,
    /// The row in that shard.
    pub key: RowKey,
    /// The unguessable part.
    pub secret: Secret,
}

impl JobId {
    /// Parses the text form. `None` for any text that [`fmt::Display`] would not write.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != TEXT_LEN {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        let (shard, rest) = bytes.split_first_chunk::<2>()?;
        let (key, rest) = rest.split_first_chunk::<6>()?;
        let secret = uuid::Uuid::from_slice(rest).ok()?;
        if secret.get_version_num() != 8 {
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
