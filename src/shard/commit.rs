//! The one way by which a changed record gets into its row.

use crate::job::{BodyRef, Effect, Refusal, RowKey, Step, StoredBody, wake};

use super::sql::{Param, Sql, SqlError};
use super::{DOOMED, Ended, Send, Shard, ShardError, schema, write_record};

/// A committed step.
pub(super) struct Committed {
    pub(super) record: crate::job::Record,
    pub(super) refused: Option<Refusal>,
    pub(super) sends: Vec<Send>,
    /// The response that came with the event is the job's result now.
    pub(super) kept: bool,
}

impl<S: Sql> Shard<S> {
    /// Stores a step with what belongs to it, in one commit, and moves the schedule after it.
    pub(super) fn commit(
        &mut self,
        key: RowKey,
        mut step: Step,
        response: Option<&(String, StoredBody)>,
    ) -> Result<Committed, ShardError> {
        let dropped = if step.effects.contains(&Effect::DropPayload) {
            step.record.payload.take()
        } else {
            None
        };
        let response = response.filter(|_| step.effects.contains(&Effect::KeepResult));
        if step.changed {
            self.write(key, &step, dropped.as_ref(), response)?;
            self.schedule
                .set(key, wake(&step.record, self.settings.patience));
            if step.record.is_terminal() {
                self.ended.push(Ended::of(key, &step.record));
            }
            if dropped.is_some_and(|body| body.object.is_some()) {
                self.sweep_noted(DOOMED);
            }
        }
        let priority = step.record.spec.priority;
        let sends = step.effects.iter().filter_map(|effect| match effect {
            Effect::Enqueue(delay) => Some(Send {
                priority,
                delay: *delay,
                key,
            }),
            Effect::DropPayload | Effect::KeepResult | Effect::DropResult => None,
        });
        Ok(Committed {
            sends: sends.collect(),
            kept: response.is_some(),
            refused: step.refused,
            record: step.record,
        })
    }

    fn write(
        &self,
        key: RowKey,
        step: &Step,
        dropped: Option<&BodyRef>,
        response: Option<&(String, StoredBody)>,
    ) -> Result<(), ShardError> {
        let state = write_record(&step.record)?;
        let drops_bytes = dropped.is_some_and(|body| body.object.is_none());
        let dropped_object = dropped.and_then(|body| body.object.as_deref());
        let kept_object = response.and_then(|(_, body)| body.object());
        let statement = || {
            self.write_row(
                key,
                &state,
                !step.record.is_terminal(),
                drops_bytes,
                response,
            )
        };
        if dropped_object.is_none() && kept_object.is_none() {
            return Ok(statement()?);
        }
        self.sql.atomically(&mut || {
            if let Some(object) = dropped_object {
                self.write_sweep(object, DOOMED, None)?;
            }
            if let Some(object) = kept_object {
                self.sql.run(schema::SWEEP_DELETE, &[Param::Text(object)])?;
            }
            statement()
        })?;
        Ok(())
    }

    fn write_row(
        &self,
        key: RowKey,
        state: &str,
        active: bool,
        drops_bytes: bool,
        response: Option<&(String, StoredBody)>,
    ) -> Result<(), SqlError> {
        let (key, state) = (Param::Int(key.0), Param::Text(state));
        if let Some((head, body)) = response {
            let statement = if drops_bytes {
                schema::JOB_FINISH_DROP
            } else {
                schema::JOB_FINISH
            };
            let body = Param::blob_or_null(body.bytes());
            self.sql
                .run(statement, &[key, state, Param::Text(head), body])?;
        } else {
            let statement = if drops_bytes {
                schema::JOB_UPDATE_DROP
            } else {
                schema::JOB_UPDATE
            };
            self.sql
                .run(statement, &[key, state, Param::Int(u64::from(active))])?;
        }
        Ok(())
    }
}
