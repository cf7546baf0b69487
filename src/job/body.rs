//! Bodies of requests and responses: the reference in a record, and a body that is to be stored.

use serde::{Deserialize, Serialize};

/// A stored body: its length, hash and place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BodyRef {
    /// Bytes.
    pub len: u64,
    /// SHA-256, lower-case hexadecimal.
    pub sha256: String,
    /// Key in the bucket; `None` if the bytes are in the record's row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
}

/// A body of a request or a response that is to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredBody {
    /// Small: its bytes are kept in the record's row.
    Inline {
        /// The bytes.
        bytes: Vec<u8>,
        /// Their SHA-256, lower-case hexadecimal.
        sha256: String,
    },
    /// Large: it is in the bucket already.
    Object(BodyRef),
}

impl StoredBody {
    /// The reference for the record.
    #[must_use]
    pub fn reference(&self) -> BodyRef {
        match self {
            Self::Inline { bytes, sha256 } => BodyRef {
                len: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
                sha256: sha256.clone(),
                object: None,
            },
            Self::Object(body) => body.clone(),
        }
    }

    /// Its SHA-256, lower-case hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> &str {
        match self {
            Self::Inline { sha256, .. } => sha256,
            Self::Object(body) => &body.sha256,
        }
    }

    /// The bytes, if they are kept in the row.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Inline { bytes, .. } => Some(bytes),
            Self::Object(_) => None,
        }
    }

    /// How many bytes are kept in the row.
    #[must_use]
    pub fn inline_len(&self) -> u64 {
        let bytes = self.bytes().unwrap_or_default();
        u64::try_from(bytes.len()).unwrap_or(u64::MAX)
    }

    /// Its key in the bucket, if it is kept there.
    #[must_use]
    pub fn object(&self) -> Option<&str> {
        match self {
            Self::Inline { .. } => None,
            Self::Object(body) => body.object.as_deref(),
        }
    }
}
