//! The only place where a changed record is written to its row.

use crate::job::{BodyRef, Effect, Record, Refusal, RowKey, Step, StoredBody, wake};

use super::partition::{RESULT_RESERVE, len};
use super::schema::Update;
use super::sql::{Param, Sql, SqlError};
use super::{DOOMED, Ended, JobMessage, Shard, ShardError, schema, write_record};

/// What came of an event, once it is committed.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The current record.
    pub record: Record,
    /// Why the event was refused; `None` if it counted.
    pub refused: Option<Refusal>,
    /// Messages to send. Time may have changed the job before the event.
    pub sends: Vec<JobMessage>,
    /// Whether the response that came with the event is now the job's result. If not, the caller deletes the
    /// object that it stored.
    pub kept: bool,
}

impl<S: Sql> Shard<S> {
    /// Stores a step and its bodies in one commit, then updates the schedule.
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
            if dropped.as_ref().is_some_and(|body| body.object.is_some()) {
                self.sweep_noted(DOOMED);
            }
            let come = response.map_or(0, |(head, body)| {
                len(head).saturating_add(body.inline_len())
            });
            let gone = dropped.filter(|body| body.object.is_none());
            let gone = gone.map_or(0, |body| body.len);
            // A job ends once, and then its result is counted.
            let reserved = if step.record.is_terminal() {
                RESULT_RESERVE
            } else {
                0
            };
            let gone = gone.saturating_add(reserved);
            self.catalogue.count_bytes(key.partition(), come, gone);
        }
        let priority = step.record.spec.priority;
        let sends = step.effects.iter().filter_map(|effect| match effect {
            Effect::Enqueue(delay) => Some(JobMessage {
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
        &mut self,
        key: RowKey,
        step: &Step,
        dropped: Option<&BodyRef>,
        response: Option<&(String, StoredBody)>,
    ) -> Result<(), ShardError> {
        let state = write_record(&step.record)?;
        let update = Update {
            drops_payload: dropped.is_some_and(|body| body.object.is_none()),
            has_response: response.is_some(),
        };
        let dropped_object = dropped.and_then(|body| body.object.as_deref());
        let kept_object = response.and_then(|(_, body)| body.object());
        let active = !step.record.is_terminal();
        if dropped_object.is_none() && kept_object.is_none() {
            return Ok(self.write_row(key, &state, active, update, response)?);
        }
        self.transaction(|shard| {
            if let Some(object) = dropped_object {
                shard.write_sweep(object, DOOMED, None)?;
            }
            if let Some(object) = kept_object {
                shard
                    .sql
                    .run(schema::SWEEP_DELETE, &[Param::Text(object)])?;
                shard.note_objects(key.partition())?;
            }
            Ok(shard.write_row(key, &state, active, update, response)?)
        })
    }

    fn write_row(
        &self,
        key: RowKey,
        state: &str,
        active: bool,
        update: Update,
        response: Option<&(String, StoredBody)>,
    ) -> Result<(), SqlError> {
        let mut params = vec![
            Param::Int(key.0),
            Param::Text(state),
            Param::Int(u64::from(active)),
        ];
        if let Some((head, body)) = response {
            params.extend([Param::Text(head), Param::blob_or_null(body.bytes())]);
        }
        let statement = schema::job_update(key.partition(), update);
        self.sql.run(&statement, &params)?;
        Ok(())
    }
}
