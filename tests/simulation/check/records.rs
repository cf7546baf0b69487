//! How rows may change, and what may be sent to the origin.

use std::rc::Rc;

use raincheck::job::{FailureCode, Record, Status};

use super::super::history::{Call, Job};
use super::Check;

/// The report that the shard is handling.
pub struct Report {
    pub job: Job,
    pub token: u64,
    pub object: Option<String>,
    /// The body of the response was lost, so it cannot be the result.
    pub head_only: bool,
}

/// The published state graph, with the steps that one commit may combine: a lapsed attempt goes
/// back to the queue and is claimed again, or is canceled.
const fn may_follow(before: Status, after: Status) -> bool {
    match before {
        Status::Queued | Status::Running => true,
        Status::Succeeded => matches!(after, Status::Succeeded),
        Status::Failed => matches!(after, Status::Failed),
        Status::Canceled => matches!(after, Status::Canceled),
    }
}

/// Whether another attempt would have fitted in before the deadline, after half of what remains.
const fn fits_another(record: &Record, clock: u64) -> bool {
    let backoff = &record.spec.plan.backoff;
    let shortest = if backoff.initial.0 < backoff.max.0 {
        backoff.initial.0
    } else {
        backoff.max.0
    };
    let shortest = if shortest > 1_000 { shortest } else { 1_000 };
    record.deadline().0.saturating_sub(clock) / 2 >= shortest
}

impl Check {
    pub(super) fn stored(&mut self, job: Job, record: &Rc<Record>, clock: u64) {
        let known = self.jobs.entry(job).or_default();
        let before = known.record.replace(Rc::clone(record));
        let (erased, claim) = (known.erased, known.claim);
        if let Some(other) = known.versions.insert(record.version, record.status())
            && other != record.status()
        {
            let text = format!("{job:?}: version {} has two states", record.version);
            self.fail("I4", text);
        }
        if erased {
            self.fail("I3", format!("{job:?} was stored after it was erased"));
        }
        match before {
            None => self.first(job, record),
            Some(before) => self.next(job, &before, record, claim, clock),
        }
    }

    fn first(&mut self, job: Job, record: &Record) {
        if record.status() != Status::Queued || record.attempt != 0 {
            self.fail("I4", format!("{job:?} began as {:?}", record.status()));
        }
        if let Some(object) = record.payload.as_ref().and_then(|body| body.object.clone())
            && !self.objects.contains(&object)
        {
            self.fail(
                "I2",
                format!("{job:?} was accepted without its payload {object}"),
            );
        }
        let Some(key) = &record.key else { return };
        let rival = self.jobs.iter().find(|(other, known)| {
            let other_key = known.record.as_ref().and_then(|record| record.key.as_ref());
            **other != job
                && !known.erased
                && other_key
                    .is_some_and(|other| other.hash == key.hash && other.ends.0 > self.latest)
        });
        if let Some((other, _)) = rival {
            let text = format!("{job:?} was accepted for the key of {other:?}");
            self.fail("I5", text);
        }
    }

    fn next(&mut self, job: Job, before: &Record, after: &Record, claim: Option<u64>, clock: u64) {
        if before.status().is_terminal() && before != after {
            self.fail(
                "I3",
                format!("{job:?} changed after it ended as {:?}", before.status()),
            );
            return;
        }
        if !may_follow(before.status(), after.status()) {
            self.fail(
                "I4",
                format!(
                    "{job:?} went from {:?} to {:?}",
                    before.status(),
                    after.status()
                ),
            );
        }
        let moved = before.status() != after.status() || before.attempt != after.attempt;
        if after.version < before.version || (moved && after.version == before.version) {
            let text = format!(
                "{job:?}: version {} after {}",
                after.version, before.version
            );
            self.fail("I4", text);
        }
        if after.attempt != before.attempt {
            self.began(job, before, after, claim, clock);
        } else if before.status() == Status::Running && after.status() != Status::Running {
            self.concluded(job, before, after, clock);
        } else if before.status() == Status::Queued && after.status() == Status::Succeeded {
            self.fail("I8", format!("{job:?} succeeded without an attempt"));
        }
        if after.status().is_terminal() {
            self.ended(job, after, clock);
        }
    }

    /// I7: an attempt began.
    fn began(&mut self, job: Job, before: &Record, after: &Record, claim: Option<u64>, clock: u64) {
        if after.attempt != before.attempt + 1 || after.acted() > after.spec.plan.attempts {
            let text = format!(
                "{job:?}: attempt {}, {} of {} that may act",
                after.attempt,
                after.acted(),
                after.spec.plan.attempts
            );
            self.fail("I7", text);
        }
        if clock >= before.deadline().0 || before.due().is_some_and(|due| clock < due.0) {
            self.fail(
                "I7",
                format!("{job:?}: an attempt began before it was due or after the deadline"),
            );
        }
        if before.lease().is_some_and(|lease| clock < lease.ends.0) {
            self.fail(
                "I8",
                format!("{job:?}: claimed under a lease that is still valid"),
            );
        }
        if after.lease().map(|lease| lease.token) != claim {
            self.fail(
                "I8",
                format!("{job:?}: the lease has a token that no claim asked for"),
            );
        }
    }

    /// I8: a running attempt ended.
    fn concluded(&mut self, job: Job, before: &Record, after: &Record, clock: u64) {
        let lease = before.lease();
        let in_time =
            clock < before.deadline().0 && lease.is_some_and(|lease| clock < lease.ends.0);
        let mut reports = self.reports.iter();
        let report = reports.find(|report| {
            report.job == job && lease.is_some_and(|lease| lease.token == report.token)
        });
        let reported = report.is_some();
        let reported_object = report.and_then(|report| report.object.clone());
        let by_report = matches!(after.status(), Status::Succeeded) || after.result().is_some();
        if by_report && !(in_time && reported) {
            self.fail(
                "I8",
                format!("{job:?}: a completion counted without its lease"),
            );
        }
        if in_time && !reported && after.status() != Status::Canceled {
            self.fail(
                "I8",
                format!("{job:?}: the attempt ended although its lease is still valid"),
            );
        }
        let failure = after.failure().map(|failure| failure.code);
        let known = self.jobs.entry(job).or_default();
        let mut calls = known.calls.iter();
        let said_idle =
            calls.any(|call| call.attempt == before.attempt && !call.acted && call.head_came.get());
        let early = failure.is_some_and(|code| code != FailureCode::DeadlineExceeded)
            && fits_another(after, clock);
        if in_time && said_idle && early {
            self.fail(
                "I17",
                format!("{job:?} failed early though the origin said that it did not act"),
            );
        }
        let object = after.result().and_then(|body| body.object.clone());
        if object.is_some() && object != reported_object {
            self.fail("I8", format!("{job:?}: the result is another attempt's"));
        }
        let ambiguous = !in_time && clock < before.deadline().0;
        if ambiguous && !before.spec.plan.repeatable && after.status() == Status::Queued {
            self.fail(
                "I9",
                format!("{job:?}: a lost attempt is repeated though that is not safe"),
            );
        }
    }

    /// I10 and honesty: a job ended.
    fn ended(&mut self, job: Job, after: &Record, clock: u64) {
        let known = self.jobs.entry(job).or_default();
        let call = known
            .calls
            .iter()
            .find(|call| call.attempt == after.attempt)
            .cloned();
        let acted = call.as_ref().is_some_and(|call| call.acted);
        let unreadable_for_too_long = known.set_back && self.later_rows;
        let unsent = !known.tried && !known.struck && !unreadable_for_too_long;
        if let Some(object) = after.result().and_then(|body| body.object.clone())
            && !self.objects.contains(&object)
        {
            self.fail(
                "I10",
                format!("{job:?} ended with a result that is not stored"),
            );
        }
        if after.status() == Status::Succeeded && after.result().is_none() {
            self.fail("I10", format!("{job:?} succeeded without a result"));
        }
        let failed_by_response = after
            .failure()
            .is_some_and(|failure| failure.code == FailureCode::OriginError);
        let body_lost = self
            .reports
            .iter()
            .any(|report| report.job == job && report.head_only);
        if failed_by_response && !body_lost && after.result().is_none() {
            let text = format!("{job:?} failed by a response that is not its result");
            self.fail("I10", text);
        }
        if let Some(result) = after.result() {
            let honest = call.as_ref().is_some_and(|call| {
                let succeeded = call.status < 400;
                call.complete
                    && call.answer == result.sha256
                    && succeeded == (after.status() == Status::Succeeded)
            });
            if !honest {
                self.fail(
                    "I10",
                    format!("{job:?} ended with what the origin did not say"),
                );
            }
        }
        let idle = call.is_some_and(|call| !call.acted);
        let unknown = after
            .failure()
            .is_some_and(|failure| failure.code == FailureCode::OutcomeUnknown);
        if unknown && unsent {
            let text = format!("{job:?} is said to have an unknown outcome, but nothing was sent");
            self.fail("I16", text);
        }
        self.failed(job, after, clock, acted, idle);
    }

    /// Honesty: why a job failed. `acted` and `idle` say whether the last attempt acted at the origin, or
    /// reached it and did not act.
    fn failed(&mut self, job: Job, after: &Record, clock: u64, acted: bool, idle: bool) {
        let failure = after.failure().map(|failure| failure.code);
        match failure {
            Some(FailureCode::OriginUnreachable | FailureCode::PayloadUnavailable) if acted => {
                self.fail(
                    "I9",
                    format!("{job:?} says that nothing was sent, but the origin acted"),
                );
            }
            Some(FailureCode::OriginUnreachable | FailureCode::PayloadUnavailable)
                if fits_another(after, clock) =>
            {
                self.fail(
                    "I17",
                    format!("{job:?} failed early though the origin did nothing"),
                );
            }
            Some(FailureCode::OriginError) if idle && fits_another(after, clock) => {
                self.fail(
                    "I17",
                    format!("{job:?} failed early though the origin was only busy"),
                );
            }
            Some(FailureCode::DeadlineExceeded) if clock < after.deadline().0 => {
                self.fail(
                    "I7",
                    format!("{job:?} failed by a deadline that has not passed"),
                );
            }
            _ => {}
        }
    }

    pub(super) fn erased(&mut self, job: Job, clock: u64) {
        let known = self.jobs.entry(job).or_default();
        let record = known.record.clone();
        let purged = known.purge_asked;
        known.erased = true;
        let Some(record) = record else { return };
        let forgotten = clock >= record.expires.0;
        let rightly = forgotten || (purged && record.status().is_terminal());
        if !rightly {
            self.fail("I1", format!("{job:?} was erased before its expiry"));
        }
        let objects = [record.payload.as_ref(), record.result()].into_iter();
        let mut objects = objects.flatten().filter_map(|body| body.object.as_ref());
        if !purged && let Some(object) = objects.find(|object| self.objects.contains(*object)) {
            let text = format!("{job:?} was erased before its object {object}");
            self.fail("I15", text);
        }
    }

    /// I6, I7 and I9: a request at the origin.
    pub(super) fn at_origin(&mut self, call: &Rc<Call>) {
        let job = call.job;
        let known = self.jobs.entry(job).or_default();
        let earlier = std::mem::take(&mut known.calls);
        let record = known.record.clone();
        let wish = known.wish.clone();
        let Some(record) = record else {
            return self.fail("I2", format!("{job:?} is at the origin without a record"));
        };
        let same = |a: &Call, b: &Call| {
            a.method == b.method
                && a.target == b.target
                && a.key == b.key
                && (a.body == b.body || a.broken || b.broken)
        };
        if earlier.iter().any(|other| !same(other, call)) {
            self.fail("I6", format!("{job:?}: the attempts differ"));
        }
        if let Some(wish) = wish {
            let key_kept = wish
                .key
                .as_ref()
                .is_none_or(|key| call.key == format!("\"{key}\""));
            let body_kept = call.broken || call.body == wish.body;
            if call.method != wish.method || call.target != wish.target || !key_kept || !body_kept {
                self.fail(
                    "I6",
                    format!("{job:?}: the origin got what the client did not send"),
                );
            }
        }
        if earlier.iter().any(|other| other.attempt == call.attempt) {
            self.fail(
                "I7",
                format!("{job:?}: attempt {} was sent twice", call.attempt),
            );
        }
        let acted = earlier.iter().filter(|other| other.acted).count();
        if acted >= usize::try_from(record.spec.plan.attempts).unwrap_or(usize::MAX) {
            self.fail("I7", format!("{job:?}: more requests than attempts"));
        }
        if !record.spec.plan.repeatable && earlier.iter().any(|other| other.acted) {
            self.fail(
                "I9",
                format!("{job:?}: the origin may act twice though that is not safe"),
            );
        }
        let known = self.jobs.entry(job).or_default();
        known.calls = earlier;
        known.calls.push(Rc::clone(call));
    }
}
