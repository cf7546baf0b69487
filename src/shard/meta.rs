//! The shard's notes about itself: one row. It is written together with the first other row, and again
//! only when the newest partition is forgotten, after the shard has been idle.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::job::IdKey;

use super::sql::{Param, Sql, SqlError};
use super::{Shard, ShardError, schema};

/// Version of the stored form.
const META_VERSION: u8 = 1;

/// The shard's notes in memory.
#[derive(Clone, Debug)]
pub(super) struct Meta {
    /// The key for the secrets of its ids.
    pub(super) id_key: IdKey,
    /// The row; `None` before it is written.
    pub(super) stored: Option<Stored>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stored {
    v: u8,
    /// The shard's number, which an alarm does not know.
    shard: u16,
    /// [`Meta::id_key`] in base64url.
    id_key: String,
    /// No partition with this number or above was ever forgotten.
    next_partition: u32,
}

impl Meta {
    /// The notes of a shard without a row. Until it has one, each start draws a new key.
    pub(super) const fn new(id_key: IdKey) -> Self {
        Self {
            id_key,
            stored: None,
        }
    }

    pub(super) fn load<S: Sql>(sql: &S) -> Result<Self, ShardError> {
        let unreadable = |why: String| ShardError::Unreadable(why);
        let rows = sql.run(schema::META_READ, &[])?;
        let text = rows
            .first()
            .and_then(|row| row.first())
            .and_then(|value| value.text())
            .ok_or_else(|| unreadable("the shard has no notes".to_owned()))?;
        let stored: Stored =
            serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))?;
        if stored.v > META_VERSION {
            return Err(unreadable(format!("meta version {}", stored.v)));
        }
        let id_key = URL_SAFE_NO_PAD.decode(&stored.id_key).ok();
        let id_key = id_key
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(|| unreadable("the key of ids is not 32 bytes".to_owned()))?;
        Ok(Self {
            id_key: IdKey(id_key),
            stored: Some(stored),
        })
    }

    pub(super) fn number(&self) -> Option<u16> {
        self.stored.as_ref().map(|stored| stored.shard)
    }

    pub(super) fn next_partition(&self) -> u32 {
        self.stored
            .as_ref()
            .map_or(1, |stored| stored.next_partition)
    }
}

impl<S: Sql> Shard<S> {
    /// Creates the tables that every shard has, if necessary. Call inside a transaction that writes: a
    /// read must leave an empty database empty, because anybody can make up ids of a thousand shards.
    pub(super) fn ensure_tables(&mut self) -> Result<(), SqlError> {
        if self.meta.stored.is_some() {
            return Ok(());
        }
        for statement in schema::CREATE {
            self.sql.run(statement, &[])?;
        }
        self.write_meta(1)
    }

    /// Notes that partitions below this number may have been forgotten. Call inside a transaction.
    pub(super) fn write_meta(&mut self, next_partition: u32) -> Result<(), SqlError> {
        let stored = Stored {
            v: META_VERSION,
            shard: self.number,
            id_key: URL_SAFE_NO_PAD.encode(self.meta.id_key.0),
            next_partition,
        };
        let text = serde_json::to_string(&stored).map_err(|error| SqlError(error.to_string()))?;
        self.sql.run(schema::META_WRITE, &[Param::Text(&text)])?;
        self.meta.stored = Some(stored);
        Ok(())
    }
}
