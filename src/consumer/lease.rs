//! An attempt under its lease: renewals, cancellation and time-out.
//!
//! All spans are measured by timers, so a clock that jumps ends nothing early or late.

use std::cell::Cell;
use std::pin::pin;

use futures_util::future::{Either, select};

use crate::job::{JobId, Millis, Outcome, RowKey};
use crate::rpc::bounds::SHARD_TIMEOUT;
use crate::rpc::call::{Call, Claim, Envelope, JobCall, RenewAnswer, Work};
use crate::rpc::client::ask_shard;
use crate::rpc::message::BEGIN_WITHIN;
use crate::rpc::ports::{CallBody, Unavailable};

use super::attempt::attempt;
use super::report::Report;
use super::{ConsumerPorts, Run};

/// A lease grows with each renewal up to this many times its first length. So renewals of a long attempt
/// become rare (each is a row written), and a lost consumer is noticed after about as long as it had been
/// working.
const LEASE_GROWTH_MAX: u64 = 8;

/// Shortest lease after renewals that failed: half of it is the pause before the next.
const LEASE_MIN: Millis = Millis::from_secs(1);

/// After this long an attempt watches its job, so that a cancel aborts its request at once. Most
/// attempts are shorter, and save the call.
const WATCH_AFTER: Millis = Millis::from_secs(2);

/// The wait before a broken watch is opened again; it doubles up to [`WATCH_AGAIN_MAX`].
const WATCH_AGAIN: Millis = Millis::from_secs(1);

/// Longest wait before a watch is opened again. A renewal notices a cancel after about as long.
const WATCH_AGAIN_MAX: Millis = Millis::from_secs(30);

/// A consumer invocation has 15 minutes
/// (<https://developers.cloudflare.com/queues/platform/limits/>). After this no report is started: the rest
/// is for one that hangs for [`SHARD_TIMEOUT`] and for settling the messages.
const REPORTED_WITHIN: Millis = Millis::from_secs(14 * 60 + 35);

/// Runs one attempt under its lease. `None` when the job was canceled, is past its deadline, or belongs
/// to another consumer: a report would be refused.
pub(super) async fn run_attempt<P: ConsumerPorts>(
    run: Run<'_, P>,
    shard: u16,
    work: Work,
    body: Vec<u8>,
) -> Option<Report> {
    let (key, token, timeout) = (work.key, work.token, work.timeout);
    let lease = Lease {
        run,
        shard,
        key,
        token,
        length: Cell::new(run.policy.lease),
        watch: watch(shard, &work.id),
    };
    // Whichever side ends first drops the other. Dropping the attempt aborts its request, so this must
    // not wait for the report.
    let so_far = Cell::new(Outcome::Unknown);
    let (outcome, response) = {
        let attempt = attempt(run.ports, run.policy, shard, work, body, &so_far);
        let attempt = pin!(attempt);
        match select(attempt, pin!(lease.until_over(timeout))).await {
            Either::Left((done, _)) => done,
            Either::Right((Over::TimedOut, _)) => (so_far.get(), None),
            Either::Right((Over::LeaseLost, _)) => return None,
        }
    };
    Some(Report {
        key,
        token,
        outcome,
        response,
        within: lease.report_within(timeout),
    })
}

/// The call that watches a job.
fn watch(shard: u16, id: &str) -> Option<String> {
    let watch = Call::Watch(JobCall { id: id.to_owned() });
    JobId::parse(id).and_then(|_| Envelope::header_of(shard, &watch).ok())
}

/// Why an attempt ends without a complete response from the origin.
enum Over {
    TimedOut,
    LeaseLost,
}

struct Lease<'a, P> {
    run: Run<'a, P>,
    shard: u16,
    key: RowKey,
    token: u64,
    /// How long the lease was when it was last granted.
    length: Cell<Millis>,
    /// The call that watches the job.
    watch: Option<String>,
}

impl<P: ConsumerPorts> Lease<'_, P> {
    /// Renews the lease and watches the job until the attempt's time is over or the job is taken away.
    async fn until_over(&self, timeout: Millis) -> Over {
        let ports = self.run.ports;
        let lease = self.run.policy.lease;
        // Most attempts end within this time and need only this timer.
        let first = WATCH_AFTER.min(lease.half()).min(timeout);
        ports.sleep(first).await;
        let timed_out = pin!(ports.sleep(timeout.minus(first)));
        let lost = pin!(self.until_lost(first));
        let canceled = pin!(self.until_ended());
        match select(timed_out, select(lost, canceled)).await {
            Either::Left(_) => Over::TimedOut,
            Either::Right(_) => Over::LeaseLost,
        }
    }

    /// How long a report is repeated until a response comes: as long as the lease may last, and within the
    /// invocation. A report after the lease has lapsed is rejected and does no harm.
    fn report_within(&self, timeout: Millis) -> Millis {
        let run = self.run;
        // The clock may have jumped; the timers have not.
        let longest = timeout.plus(BEGIN_WITHIN);
        let gone = run.ports.now().since(run.begun).min(longest);
        let left = REPORTED_WITHIN.minus(gone);
        self.length.get().min(left)
    }

    /// Renews the lease, whose age is given, until a renewal is rejected.
    async fn until_lost(&self, age: Millis) {
        let ports = self.run.ports;
        let first = self.run.policy.lease;
        let longest = first.times(LEASE_GROWTH_MAX);
        let mut lease = first;
        // Half-way through, so that there is time to repeat a lost renewal.
        let mut pause = lease.half().minus(age);
        loop {
            ports.sleep(pause).await;
            let longer = lease.times(2).min(longest);
            match self.renew(longer).await {
                Ok(true) => {
                    lease = longer;
                    self.length.set(longer);
                }
                Ok(false) => return,
                Err(Unavailable) => lease = lease.half().max(LEASE_MIN),
            }
            pause = lease.half();
        }
    }

    async fn renew(&self, lease: Millis) -> Result<bool, Unavailable> {
        let call = Call::Renew(Claim {
            key: self.key,
            token: self.token,
            lease,
            unsent: Vec::new(),
        });
        let ports = self.run.ports;
        // A renewal that hangs must leave time for another.
        let longest = Millis(self.run.policy.lease.0 / 4).min(SHARD_TIMEOUT);
        let bytes = ask_shard(ports, self.shard, &call, CallBody::Empty, longest).await?;
        let answer: RenewAnswer = serde_json::from_slice(&bytes).map_err(|_| Unavailable)?;
        Ok(answer.renewed)
    }

    /// Waits until the shard says that the job has ended.
    async fn until_ended(&self) {
        let ports = self.run.ports;
        let Some(watch) = &self.watch else {
            return std::future::pending().await;
        };
        let mut again = WATCH_AGAIN;
        while !ports.until_ended(self.shard, watch.clone()).await {
            ports.sleep(again).await;
            again = again.times(2).min(WATCH_AGAIN_MAX);
        }
    }
}
