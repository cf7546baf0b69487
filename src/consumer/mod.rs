//! The consumer: takes messages, runs attempts, reports what came of them.
//!
//! Every step may run twice or stop half-way, and that is safe:
//!
//! 1. *claim*: a second claim is refused by the lease; a lost grant lapses with its lease.
//! 2. *send*: at least once; what is ambiguous about it is decided by `job::classify`.
//! 3. *store*: under a new key, noted at the shard before; an unused object is deleted.
//! 4. *finish*: counts once, by its token; a lost answer is asked for again.
//!
//! A message is acknowledged when its claims were answered: from then on the record's wake-ups
//! carry the job, not the message.

mod attempt;

use futures_util::future::{Either, join_all, select};

use crate::job::{Millis, Outcome, RowKey};
use crate::policy::Policy;

use crate::rpc::call::{Call, ClaimCall, RenewAnswer, Work};
use crate::rpc::client::call_shard;
use crate::rpc::frame;
use crate::rpc::message::Message;
use crate::rpc::ports::{Bucket, CallBody, Host, OriginPort, Shards, Unavailable};

use attempt::{Report, attempt, finish};

/// Everything that running jobs takes.
pub trait Back: Host + Shards + Bucket + OriginPort {}

impl<P: Host + Shards + Bucket + OriginPort> Back for P {}

/// What to do with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposal {
    /// It has served its purpose.
    Acknowledge,
    /// Its shard did not answer: deliver it again.
    Retry,
}

/// A lease grows with each renewal up to this many times its first length: renewals of a long
/// attempt become rare (each is a row written), and a lost consumer is noticed within about the time
/// that it had already been working.
const LEASE_GROWTH_MAX: u64 = 8;

/// Takes one message: claims its jobs and runs those that were granted, all at the same time.
pub async fn run_message<P: Back>(ports: &P, policy: &Policy, message: &Message) -> Disposal {
    match claim(ports, policy, message).await {
        Ok(granted) => {
            join_all(
                granted
                    .into_iter()
                    .map(|(work, body)| run_attempt(ports, policy, message.shard, work, body)),
            )
            .await;
            Disposal::Acknowledge
        }
        Err(Unavailable) => Disposal::Retry,
    }
}

/// Claims the jobs of a message.
pub async fn claim<P: Back>(
    ports: &P,
    policy: &Policy,
    message: &Message,
) -> Result<Vec<(Work, Vec<u8>)>, Unavailable> {
    let claims = message.jobs.iter().map(|key| ClaimCall {
        key: *key,
        token: random_token(ports),
        lease: policy.lease,
        unsent: None,
    });
    let call = Call::Claim(claims.collect());
    let response = call_shard(ports, message.shard, &call, CallBody::Empty).await?;
    if ports.status(&response) != 200 {
        return Err(Unavailable);
    }
    let bytes = ports.read(response).await.ok_or(Unavailable)?;
    let frames = frame::decode(&bytes).ok_or(Unavailable)?;
    let works = frames.into_iter().filter_map(|frame| {
        let work = serde_json::from_str::<Work>(&frame.json).ok()?;
        Some((work, frame.body))
    });
    Ok(works.collect())
}

/// Reports messages that a queue gave up on.
pub async fn dead_letter<P: Back>(ports: &P, message: &Message) -> Disposal {
    let call = Call::DeadLetter(message.jobs.clone());
    match call_shard(ports, message.shard, &call, CallBody::Empty).await {
        Ok(response) if ports.status(&response) == 204 => Disposal::Acknowledge,
        _ => Disposal::Retry,
    }
}

/// Runs one attempt under its lease, and reports it.
pub async fn run_attempt<P: Back>(
    ports: &P,
    policy: &Policy,
    shard: u16,
    work: Work,
    body: Vec<u8>,
) {
    let (key, token, timeout) = (work.key, work.token, work.timeout);
    // Whichever side ends first drops the other, here and not after the report: dropping the attempt
    // aborts its request.
    let report = {
        let attempt = std::pin::pin!(attempt(ports, policy, shard, work, body));
        let watch = std::pin::pin!(keep_lease(ports, policy, shard, key, token, timeout));
        match select(attempt, watch).await {
            Either::Left((report, _)) => report,
            Either::Right((Watch::TimedOut, _)) => Report::of(Outcome::Unknown),
            // Canceled, past its deadline, or somebody else's: a report would be refused.
            Either::Right((Watch::LeaseLost, _)) => return,
        }
    };
    finish(ports, shard, key, token, report).await;
}

enum Watch {
    TimedOut,
    LeaseLost,
}

/// Renews the lease until the attempt's time is over.
async fn keep_lease<P: Back>(
    ports: &P,
    policy: &Policy,
    shard: u16,
    key: RowKey,
    token: u64,
    timeout: Millis,
) -> Watch {
    let ends = ports.now().plus(timeout);
    let longest = Millis(policy.lease.0.saturating_mul(LEASE_GROWTH_MAX));
    let mut lease = policy.lease;
    loop {
        // Half-way through, so that one lost renewal can still be made up for.
        let pause = Millis(lease.0 / 2).min(ends.since(ports.now()));
        ports.sleep(pause).await;
        if ports.now() >= ends {
            return Watch::TimedOut;
        }
        let longer = Millis(lease.0.saturating_mul(2)).min(longest);
        match renew(
            ports,
            shard,
            ClaimCall {
                key,
                token,
                lease: longer,
                unsent: None,
            },
        )
        .await
        {
            Ok(true) => lease = longer,
            Ok(false) => return Watch::LeaseLost,
            Err(Unavailable) => lease = Millis(lease.0 / 2).max(Millis(1000)),
        }
    }
}

async fn renew<P: Back>(ports: &P, shard: u16, claim: ClaimCall) -> Result<bool, Unavailable> {
    let response = call_shard(ports, shard, &Call::Renew(claim), CallBody::Empty).await?;
    let bytes = ports.read(response).await.ok_or(Unavailable)?;
    let answer: RenewAnswer = serde_json::from_slice(&bytes).map_err(|_| Unavailable)?;
    Ok(answer.renewed)
}

fn random_token<P: Host>(ports: &P) -> u64 {
    let mut bytes = [0; 8];
    ports.random(&mut bytes);
    u64::from_le_bytes(bytes)
}
