//! Which responses clients may get.

use std::rc::Rc;

use raincheck::job::Status;

use super::super::history::{Ask, Event, Job};
use super::super::plan::TOMBSTONE;
use super::Check;

/// A request in progress.
pub struct Question {
    ask: Ask,
    job: Job,
    genuine: bool,
    /// The latest version that any client had seen when the request was sent.
    floor: u32,
    /// The job had ended when the request was sent.
    ended: bool,
    /// Faults had stopped when the request was sent; an earlier one may still have an effect.
    calm: bool,
}

impl Check {
    /// I2, I5, I14: a response to a request that should become a job.
    pub(super) fn answered(
        &mut self,
        op: u32,
        status: u16,
        job: Option<Job>,
        location: &str,
        alarm: Option<u64>,
    ) {
        let Some(wish) = self.wishes.get(&op).cloned() else {
            return;
        };
        if status == 422 {
            let rival = self.wishes.iter().any(|(other_op, other)| {
                *other_op != op
                    && other.owner == wish.owner
                    && other.key == wish.key
                    && (other.method, &other.target, &other.body)
                        != (wish.method, &wish.target, &wish.body)
            });
            if wish.key.is_none() || !rival {
                self.fail(
                    "I5",
                    format!("#{op} was rejected for a key that no other request used"),
                );
            }
        }
        let Some(job) = job else {
            if !matches!(status, 400 | 413 | 422 | 503) {
                self.fail("I14", format!("#{op} was answered {status}"));
            }
            return;
        };
        if wish.hopeless {
            self.fail("I14", format!("#{op} got a receipt that it must not get"));
        }
        let known = self.jobs.entry(job).or_default();
        let (record, erased) = (known.record.clone(), known.erased);
        let first = Rc::clone(known.wish.get_or_insert_with(|| Rc::clone(&wish)));
        if known.location.is_empty() {
            location.clone_into(&mut known.location);
        }
        let same_place = known.location == location;
        let Some(record) = record else {
            return self.fail(
                "I2",
                format!("#{op}: a receipt for {job:?}, which was never stored"),
            );
        };
        if !erased && !record.status().is_terminal() && alarm.is_none() {
            self.fail(
                "I2",
                format!("#{op}: a receipt for {job:?}, and no wake-up"),
            );
        }
        let same =
            first.method == wish.method && first.target == wish.target && first.body == wish.body;
        if !same || first.key != wish.key || first.owner != wish.owner || !same_place {
            self.fail(
                "I5",
                format!("#{op}: a receipt for {job:?}, which is another request's"),
            );
        }
        if wish.repeatable != record.spec.plan.repeatable {
            self.fail("I9", format!("{job:?}: whether repeating is safe was lost"));
        }
    }

    pub(super) fn asked(&mut self, op: u32, ask: Ask, job: Job, genuine: bool) {
        let known = self.jobs.entry(job).or_default();
        if ask == Ask::Purge && genuine {
            known.purge_asked = true;
        }
        let ended = known
            .record
            .as_ref()
            .is_some_and(|record| record.status().is_terminal());
        let floor = known.told;
        self.asked.insert(
            op,
            Question {
                ask,
                job,
                genuine,
                floor,
                ended,
                calm: self.calm,
            },
        );
    }

    pub(super) fn told(&mut self, event: &Event) {
        let Event::Told {
            op,
            status,
            version,
            state,
            body,
            job: made,
        } = event
        else {
            return;
        };
        let Some(question) = self.asked.remove(op) else {
            return;
        };
        let (status, op, job) = (*status, *op, question.job);
        if !question.genuine {
            if !matches!(status, 401 | 403 | 404 | 503) {
                self.fail("I14", format!("#{op}: a false id was answered {status}"));
            }
            return;
        }
        let known = self.jobs.entry(job).or_default();
        let Some(record) = known.record.clone() else {
            return;
        };
        let erased = known.erased;
        let stored = version.map(|version| {
            known
                .versions
                .get(&u32::try_from(version).unwrap_or(0))
                .copied()
        });
        if let (Some(version), false) = (version, made.is_some()) {
            known.told = known.told.max(u32::try_from(*version).unwrap_or(0));
        }
        self.found(op, &question, status);
        if made.is_some() {
            if record.status() != Status::Failed {
                self.fail(
                    "I3",
                    format!("#{op}: {job:?} was redriven as {:?}", record.status()),
                );
            }
            return;
        }
        if let (Some(stored), Some(version)) = (stored, *version) {
            if stored.map(Status::as_str) != state.as_deref() {
                self.fail("I4", format!("#{op}: told {state:?}, stored {stored:?}"));
            }
            if version < u64::from(question.floor) {
                self.fail(
                    "I4",
                    format!("#{op}: an older version than was told before"),
                );
            }
        }
        let ended = ["succeeded", "failed", "canceled"];
        if question.ask == Ask::Cancel
            && status == 200
            && !state.as_deref().is_some_and(|state| ended.contains(&state))
        {
            self.fail("I11", format!("#{op}: canceled, and told {state:?}"));
        }
        if question.ask == Ask::Result && !erased {
            self.result(op, &question, status, body);
        }
    }

    /// I1: a job that has not expired can be read with its id.
    fn found(&mut self, op: u32, question: &Question, status: u16) {
        let job = question.job;
        let known = self.jobs.entry(job).or_default();
        let Some(record) = known.record.clone() else {
            return;
        };
        let purged = known.erased && known.purge_asked;
        // The origin's response is replayed unchanged, even a 404.
        let replayed = question.ask == Ask::Result
            && known
                .calls
                .iter()
                .any(|call| call.attempt == record.attempt && call.status == status);
        match status {
            _ if replayed => {}
            404 if !purged && self.latest < record.expires.0 + TOMBSTONE => {
                self.fail(
                    "I1",
                    format!("#{op}: {job:?} was not found before its expiry"),
                );
            }
            // The result of a canceled job is 410, too.
            410 if self.latest < record.expires.0
                && !(question.ask == Ask::Result && record.status() == Status::Canceled) =>
            {
                self.fail(
                    "I1",
                    format!("#{op}: {job:?} counted as expired before its time"),
                );
            }
            // The result of a failed job without a response is the problem that says so.
            503 if question.calm
                && !(question.ask == Ask::Result
                    && record.status() == Status::Failed
                    && record.result().is_none()) =>
            {
                self.fail(
                    "I1",
                    format!("#{op}: {job:?} cannot be read though no fault strikes"),
                );
            }
            _ => {}
        }
    }

    /// I10: the origin's response is replayed unchanged.
    fn result(&mut self, op: u32, question: &Question, status: u16, body: &str) {
        let known = self.jobs.entry(question.job).or_default();
        let Some(record) = known.record.clone() else {
            return;
        };
        let Some(result) = record.result() else {
            return;
        };
        if matches!(status, 404 | 410 | 503) || (status == 202 && !question.ended) {
            return;
        }
        let call = known
            .calls
            .iter()
            .find(|call| call.attempt == record.attempt)
            .cloned();
        let same_status = call.is_some_and(|call| call.status == status);
        let same_body = body == result.sha256 || (body == "broken" && !self.calm);
        if !same_status || !same_body {
            let text = format!("#{op}: the result of {:?} came as {status}", question.job);
            self.fail("I10", text);
        }
    }
}
