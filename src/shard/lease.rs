//! Attempts: granting and extending leases, and recording outcomes.

use serde::{Deserialize, Serialize};

use crate::job::{
    Effect, Event, JobId, Millis, Outcome, Record, Refusal, RowKey, StoredBody, UnixMillis, apply,
};

use super::commit::Committed;
use super::insert::read_secret;
use super::sql::Sql;
use super::{JobMessage, Shard, ShardError, read_record};

/// A message that is earlier than this is not followed by another: the clock went back, and a queue cannot
/// delay a message for so long. The alarm has the job in any case.
const EARLY_MAX: Millis = Millis::from_secs(12 * 3600);

/// A consumer's request for a lease, or to extend it, as it is in a call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claim {
    /// The job.
    pub key: RowKey,
    /// A random fencing token for this claim; for a renewal, the token of the lease. A claim whose response was
    /// lost may be repeated with the same token: if it was granted, it is granted again, as the same attempt.
    pub token: u64,
    /// The length of the lease, from now.
    pub lease: Millis,
    /// The tokens of earlier claims of this job whose response was lost, so nothing was sent to the
    /// origin under them. If the lease of one of them is still current, `token` takes it over, as the same
    /// attempt. A token under which anything was sent must not be named here. Renewals leave it out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unsent: Vec<u64>,
}

/// The result of a claim. `H` is the parsed head of the request.
#[derive(Clone, Debug)]
pub enum Claimed<H> {
    /// The attempt may begin.
    Granted(Box<Grant<H>>),
    /// No attempt may begin: the job is unknown (`None`), has ended, is not due, or has another lease.
    Refused(Option<Refusal>),
}

/// What an attempt needs.
#[derive(Clone, Debug)]
pub struct Grant<H> {
    /// The job's id.
    pub id: JobId,
    /// Its record, with the lease.
    pub record: Record,
    /// The head of the request.
    pub request: H,
    /// The body of the request, if it is kept in the row.
    pub payload: Option<Vec<u8>>,
}

/// A report about an attempt.
#[derive(Clone, Debug)]
pub struct Finish {
    /// The job.
    pub key: RowKey,
    /// The token of the lease.
    pub token: u64,
    /// The outcome.
    pub outcome: Outcome,
    /// The response, if there is one: its head, opaque to the shard, and its body.
    pub response: Option<(String, StoredBody)>,
}

impl<S: Sql> Shard<S> {
    /// Grants or refuses a lease. `read` parses the head of the request, which is opaque to the shard. If it
    /// fails, a later build wrote the head: the claim then fails with [`ShardError::Unreadable`], nothing is
    /// written, and the job waits for that build.
    pub fn claim<H>(
        &mut self,
        claim: &Claim,
        now: UnixMillis,
        random_permille: u16,
        read: impl FnOnce(&str) -> Option<H>,
    ) -> Result<(Claimed<H>, Vec<JobMessage>), ShardError> {
        let Some([state, secret, request, payload]) = self.job_work(claim.key)? else {
            return Ok((Claimed::Refused(None), Vec::new()));
        };
        let request = read(request.text().unwrap_or_default())
            .ok_or_else(|| ShardError::Unreadable("request head".to_owned()))?;
        let event = Event::Claim {
            token: claim.token,
            lease: claim.lease,
            unsent: claim.unsent.clone(),
        };
        let record = read_record(&state)?;
        let due = record.due();
        let step = apply(record, &event, now, random_permille);
        let Committed {
            record,
            refused,
            mut sends,
            ..
        } = self.commit(claim.key, step, None)?;
        if let Some(refusal) = refused {
            if let Refusal::TooEarly(due) = refusal
                && due.since(now) <= EARLY_MAX
            {
                // The message was early (a re-send). Send another for the right time.
                let (priority, key) = (record.spec.priority, claim.key);
                sends.push(JobMessage {
                    priority,
                    delay: due.since(now),
                    key,
                });
            }
            return Ok((Claimed::Refused(Some(refusal)), sends));
        }
        if let Some(due) = due {
            let priority = record.spec.priority;
            self.schedule.claimed(claim.key, priority, due, now);
        }
        let grant = Grant {
            id: self.id(claim.key, read_secret(&secret)?),
            record,
            request,
            payload: payload.into_blob(),
        };
        Ok((Claimed::Granted(Box::new(grant)), sends))
    }

    /// Extends a lease and returns its new end. `None` if the lease is not current: the attempt should
    /// stop.
    pub fn renew(
        &mut self,
        claim: &Claim,
        now: UnixMillis,
        random_permille: u16,
    ) -> Result<(Option<UnixMillis>, Vec<JobMessage>), ShardError> {
        let event = Event::Renew {
            token: claim.token,
            lease: claim.lease,
        };
        let Some(done) = self.apply_event(claim.key, &event, now, random_permille)? else {
            return Ok((None, Vec::new()));
        };
        let ends = done
            .record
            .lease()
            .filter(|_| done.refused.is_none())
            .map(|lease| lease.ends);
        Ok((ends, done.sends))
    }

    /// Records the outcome of an attempt, with its response, in one commit. `None` if the job is unknown.
    pub fn finish(
        &mut self,
        finish: &Finish,
        now: UnixMillis,
        random_permille: u16,
    ) -> Result<Option<Committed>, ShardError> {
        let Some((state, _)) = self.job_state(finish.key)? else {
            return Ok(None);
        };
        let event = |outcome, result| Event::Finish {
            token: finish.token,
            outcome,
            result,
        };
        let body = finish.response.as_ref().map(|(_, body)| body);
        let reported = event(finish.outcome, body.map(StoredBody::reference));
        let mut step = apply(read_record(&state)?, &reported, now, random_permille);
        if step.effects.contains(&Effect::KeepResult)
            && let Some(object) = body.and_then(StoredBody::object)
            && !self.may_name(object)?
        {
            // The object was announced so long ago that it is being deleted.
            let lost = event(finish.outcome, None);
            step = apply(read_record(&state)?, &lost, now, random_permille);
        }
        self.commit(finish.key, step, finish.response.as_ref())
            .map(Some)
    }

    /// Notes that a queue gave up on a message, and sends a new one if the job still waits.
    pub fn dead_letter(
        &mut self,
        key: RowKey,
        now: UnixMillis,
        random_permille: u16,
    ) -> Result<Vec<JobMessage>, ShardError> {
        let done = self.apply_event(key, &Event::DeadLettered, now, random_permille)?;
        Ok(done.map(|done| done.sends).unwrap_or_default())
    }

    /// Applies an event without a body. `None` if the job is unknown.
    pub(super) fn apply_event(
        &mut self,
        key: RowKey,
        event: &Event,
        now: UnixMillis,
        random_permille: u16,
    ) -> Result<Option<Committed>, ShardError> {
        let Some((state, _)) = self.job_state(key)? else {
            return Ok(None);
        };
        let step = apply(read_record(&state)?, event, now, random_permille);
        self.commit(key, step, None).map(Some)
    }
}
