//! Transactions: if one fails, memory also forgets what it noted.

use super::sql::{Sql, SqlError};
use super::{Shard, ShardError};

impl<S: Sql> Shard<S> {
    /// Runs `body` in a transaction. If `body` or the commit fails, none of the writes remain, and memory is as
    /// before. Transactions are not nested.
    pub(super) fn transaction<T>(
        &mut self,
        mut body: impl FnMut(&mut Self) -> Result<T, ShardError>,
    ) -> Result<T, ShardError> {
        let sql = self.sql.clone();
        self.all_or_nothing(|shard| {
            let mut done = None;
            // The database only has to know that `body` failed; the error itself is carried past it.
            let committed = sql.atomically(&mut || {
                let outcome = body(shard);
                let ended = match &outcome {
                    Ok(_) => Ok(()),
                    Err(error) => Err(SqlError(error.to_string())),
                };
                done = Some(outcome);
                ended
            });
            match (done, committed) {
                (Some(Ok(value)), Ok(())) => Ok(value),
                (Some(Err(error)), _) => Err(error),
                (_, Err(error)) => Err(error.into()),
                (None, Ok(())) => Err(SqlError("the transaction did not run".to_owned()).into()),
            }
        })
    }

    /// Restores memory if `write` fails. Enough for a write that is one statement, which needs no transaction.
    pub(super) fn all_or_nothing<T>(
        &mut self,
        write: impl FnOnce(&mut Self) -> Result<T, ShardError>,
    ) -> Result<T, ShardError> {
        let stored_before = self.meta.stored.clone();
        let outcome = write(self);
        if outcome.is_ok() {
            self.catalogue.commit();
            self.generations.commit();
        } else {
            self.meta.stored = stored_before;
            self.catalogue.roll_back();
            self.generations.roll_back();
        }
        outcome
    }
}
