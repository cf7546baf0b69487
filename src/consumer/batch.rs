//! Runs a batch of messages: which jobs run at the same time, and which reports share a call.

use std::collections::VecDeque;

use futures_util::future::{FutureExt as _, LocalBoxFuture};
use futures_util::stream::{FuturesUnordered, StreamExt as _};

use crate::job::Millis;
use crate::policy::Policy;
use crate::rpc::message::{BEGIN_WITHIN, Message};

use super::claim::{Claimed, claim};
use super::lease::run_attempt;
use super::report::{Report, send_reports};
use super::{ConsumerPorts, Disposal, Run};

/// How long a report waits for others, so that they share a call and a commit. It is short compared to a
/// job's total time, and long enough to join jobs that started together and took about as long. The report of
/// the last running attempt does not wait.
const GATHER: Millis = Millis(10);

/// Most reports in one call. Their bodies (64 KiB each) stay a small part of an isolate's 128 MB.
const REPORTS_PER_CALL: usize = 32;

/// Handles a batch of messages, in order. At most `connections` attempts run at a time, because each needs a
/// connection that may wait for response headers, and an invocation has few. A message that could not be
/// started within [`BEGIN_WITHIN`] is handed back. `settle` tells the queue what to do with each message.
pub async fn run_batch<P: ConsumerPorts, M>(
    ports: &P,
    policy: &Policy,
    messages: Vec<(M, Message)>,
    connections: usize,
    settle: impl AsyncFn(M, Disposal),
) {
    let begun = ports.now();
    let run = Run {
        ports,
        policy,
        begun,
    };
    let mut batch = Batch {
        run,
        connections,
        settle: &settle,
        unsettled: messages.len(),
        waiting: messages.into(),
        taken: Vec::new(),
        free: connections,
        attempts: 0,
        reports: Vec::new(),
        gathering: 0,
        events: FuturesUnordered::new(),
    };
    batch.begin();
    if !batch.waiting.is_empty() {
        let late = async {
            ports.sleep(BEGIN_WITHIN).await;
            Event::TooLate
        };
        batch.events.push(late.boxed_local());
    }
    // Once all messages are settled and all attempts reported, only timers are left.
    while batch.unsettled > 0 || batch.taken.iter().any(|taken| taken.open > 0) {
        let Some(event) = batch.events.next().await else {
            break;
        };
        batch.on(event);
        batch.begin();
    }
}

/// A message that was started.
struct Taken<M> {
    /// The argument for `settle`; `None` once settled.
    handle: Option<M>,
    shard: u16,
    /// Connections reserved for its jobs until the response to its claims arrives.
    kept: usize,
    /// Running attempts and unsent reports.
    open: usize,
}

enum Event {
    /// The claims of a message got a response, or none in time.
    Claimed(usize, Claimed),
    /// An attempt of a message ended. No report: the job was taken away.
    Attempted(usize, Option<Report>),
    /// The reports of this gathering have waited long enough.
    Gathered(u32),
    /// Reports of these messages were sent.
    Reported(Vec<usize>),
    /// The queue was told what to do with a message.
    Settled,
    /// A message that has not started by now might not end in time.
    TooLate,
}

struct Batch<'a, P, M, S> {
    run: Run<'a, P>,
    connections: usize,
    settle: &'a S,
    /// Messages that are not settled yet.
    unsettled: usize,
    /// Messages that were not started.
    waiting: VecDeque<(M, Message)>,
    taken: Vec<Taken<M>>,
    /// Connections that are neither in use nor reserved.
    free: usize,
    /// Running attempts.
    attempts: usize,
    /// Reports that wait for others, each with its message.
    reports: Vec<(usize, Report)>,
    /// The number of the current gathering.
    gathering: u32,
    events: FuturesUnordered<LocalBoxFuture<'a, Event>>,
}

impl<'a, P: ConsumerPorts, M: 'a, S: AsyncFn(M, Disposal)> Batch<'a, P, M, S> {
    /// Starts messages while there are connections for their jobs. A message with more jobs than there
    /// are connections starts when all are free.
    fn begin(&mut self) {
        while let Some((_, message)) = self.waiting.front() {
            let kept = message.jobs.len().min(self.connections);
            let Some(free) = self.free.checked_sub(kept) else {
                return;
            };
            let Some((handle, message)) = self.waiting.pop_front() else {
                return;
            };
            self.free = free;
            let (index, run) = (self.taken.len(), self.run);
            self.taken.push(Taken {
                handle: Some(handle),
                shard: message.shard,
                kept,
                open: 0,
            });
            self.await_event(async move { Event::Claimed(index, claim(run, &message).await) });
        }
    }

    fn on(&mut self, event: Event) {
        match event {
            Event::Claimed(index, claimed) => self.claimed(index, claimed),
            Event::Attempted(index, report) => {
                self.attempts = self.attempts.saturating_sub(1);
                self.release(1);
                match report {
                    Some(report) => self.reports.push((index, report)),
                    None => self.done(&[index]),
                }
                self.gather();
            }
            Event::Gathered(gathering) => {
                if gathering == self.gathering {
                    self.report();
                }
            }
            Event::Reported(messages) => self.done(&messages),
            Event::Settled => self.unsettled = self.unsettled.saturating_sub(1),
            Event::TooLate => {
                for (handle, _) in std::mem::take(&mut self.waiting) {
                    self.settle(handle, Disposal::Retry);
                }
            }
        }
    }

    /// Starts the attempts of the granted jobs.
    fn claimed(&mut self, index: usize, claimed: Claimed) {
        let granted = claimed.granted.len();
        let Some(taken) = self.taken.get_mut(index) else {
            return;
        };
        taken.open = granted;
        let (shard, kept) = (taken.shard, taken.kept);
        self.release(kept.saturating_sub(granted));
        self.attempts = self.attempts.saturating_add(granted);
        for (work, body) in claimed.granted {
            let run = self.run;
            self.await_event(async move {
                Event::Attempted(index, run_attempt(run, shard, work, body).await)
            });
        }
        match claimed.replacement.map(Disposal::Replace) {
            // Not after the attempts of the other jobs: the leases lapse.
            Some(replace) => self.close(index, replace),
            None if granted == 0 => self.close(index, Disposal::Acknowledge),
            None => {}
        }
    }

    /// Sends the waiting reports if no attempt runs. Otherwise starts the timer with the first one.
    fn gather(&mut self) {
        if self.attempts == 0 {
            self.report();
        } else if self.reports.len() == 1 {
            let (ports, gathering) = (self.run.ports, self.gathering);
            self.await_event(async move {
                ports.sleep(GATHER).await;
                Event::Gathered(gathering)
            });
        }
    }

    /// Sends the waiting reports, grouped by shard.
    fn report(&mut self) {
        self.gathering = self.gathering.wrapping_add(1);
        let mut groups: Vec<(u16, Vec<usize>, Vec<Report>)> = Vec::new();
        for (index, report) in std::mem::take(&mut self.reports) {
            let Some(taken) = self.taken.get(index) else {
                continue;
            };
            let open = groups.iter_mut().find(|(shard, messages, _)| {
                *shard == taken.shard && messages.len() < REPORTS_PER_CALL
            });
            match open {
                Some((_, messages, reports)) => {
                    messages.push(index);
                    reports.push(report);
                }
                None => groups.push((taken.shard, vec![index], vec![report])),
            }
        }
        for (shard, messages, reports) in groups {
            let ports = self.run.ports;
            self.await_event(async move {
                send_reports(ports, shard, reports).await;
                Event::Reported(messages)
            });
        }
    }

    /// One job of each of these messages is done.
    fn done(&mut self, messages: &[usize]) {
        for index in messages {
            let Some(taken) = self.taken.get_mut(*index) else {
                continue;
            };
            taken.open = taken.open.saturating_sub(1);
            if taken.open == 0 {
                self.close(*index, Disposal::Acknowledge);
            }
        }
    }

    fn close(&mut self, index: usize, how: Disposal) {
        let handle = self.taken.get_mut(index).and_then(|it| it.handle.take());
        if let Some(handle) = handle {
            self.settle(handle, how);
        }
    }

    fn settle(&mut self, handle: M, how: Disposal) {
        let settle = self.settle;
        self.await_event(async move {
            settle(handle, how).await;
            Event::Settled
        });
    }

    fn release(&mut self, connections: usize) {
        self.free = self.free.saturating_add(connections).min(self.connections);
    }

    fn await_event(&self, event: impl Future<Output = Event> + 'a) {
        self.events.push(event.boxed_local());
    }
}
