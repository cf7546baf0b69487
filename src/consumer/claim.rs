//! Claiming the jobs of a message.

use crate::job::Millis;
use crate::rpc::bounds::SHARD_TIMEOUT;
use crate::rpc::call::{Call, ClaimCall, Work};
use crate::rpc::client::{ask_shard, within};
use crate::rpc::frame;
use crate::rpc::message::Message;
use crate::rpc::ports::{CallBody, Host, Unavailable};

use super::{Back, Run};

/// The wait before the first repetition; it doubles.
const CLAIM_WAIT: Millis = Millis(200);

/// A claim is repeated for at most this fraction of the lease (1/4): a lease that the first try began must
/// still have most of its time left when the attempt begins.
const CLAIM_PART_OF_LEASE: u64 = 4;

/// Longest time for claiming. Most objects restart faster, and the attempts still fit into the
/// invocation.
const CLAIM_WITHIN: Millis = Millis::from_secs(15);

/// Claims the jobs of a message. Without a response the claim is repeated with the same tokens. If all
/// tries fail, the error is the message to send in place of this one.
pub(super) async fn claim<P: Back>(
    run: Run<'_, P>,
    message: &Message,
) -> Result<Vec<(Work, Vec<u8>)>, Message> {
    let Run { ports, policy, .. } = run;
    let tokens: Vec<u64> = message.jobs.iter().map(|_| random_token(ports)).collect();
    let mut unsent = message.unsent.iter().copied();
    let claims = message
        .jobs
        .iter()
        .zip(&tokens)
        .map(|(key, token)| ClaimCall {
            key: *key,
            token: *token,
            lease: policy.lease,
            unsent: unsent.next(),
        });
    let call = Call::Claim(claims.collect());
    let longest = Millis(policy.lease.0 / CLAIM_PART_OF_LEASE).min(CLAIM_WITHIN);
    // Even if the first try hangs, a second one fits.
    let once = Millis(longest.0 / 2).min(SHARD_TIMEOUT);
    if let Ok(granted) = claim_once(ports, message.shard, &call, once).await {
        return Ok(granted);
    }
    let repeated = async {
        let mut wait = CLAIM_WAIT;
        loop {
            ports.sleep(wait).await;
            wait = Millis(wait.0.saturating_mul(2));
            if let Ok(granted) = claim_once(ports, message.shard, &call, once).await {
                return granted;
            }
        }
    };
    let granted = within(ports, longest, repeated).await;
    granted.map_err(|Unavailable| Message {
        unsent: tokens,
        ..message.clone()
    })
}

async fn claim_once<P: Back>(
    ports: &P,
    shard: u16,
    call: &Call,
    longest: Millis,
) -> Result<Vec<(Work, Vec<u8>)>, Unavailable> {
    let bytes = ask_shard(ports, shard, call, CallBody::Empty, longest).await?;
    let frames = frame::decode(&bytes).ok_or(Unavailable)?;
    let works = frames.into_iter().filter_map(|frame| {
        let work = serde_json::from_str::<Work>(&frame.json).ok()?;
        Some((work, frame.body))
    });
    Ok(works.collect())
}

fn random_token<P: Host>(ports: &P) -> u64 {
    let mut bytes = [0; 8];
    ports.random(&mut bytes);
    u64::from_le_bytes(bytes)
}
