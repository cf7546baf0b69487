//! Claiming the jobs of a message.

use crate::job::{Millis, RowKey};
use crate::rpc::bounds::SHARD_TIMEOUT;
use crate::rpc::call::{Call, Claim, Undecided, Work};
use crate::rpc::client::{ask_shard, within};
use crate::rpc::frame;
use crate::rpc::message::{Message, UNSENT_MAX};
use crate::rpc::ports::{CallBody, Host, Unavailable};

use super::{ConsumerPorts, Run};

/// The wait before the first repetition; it doubles.
const CLAIM_WAIT: Millis = Millis(200);

/// A claim is repeated for at most this fraction of the lease (1/4): a lease that the first try began must
/// still have most of its time left when the attempt begins.
const CLAIM_PART_OF_LEASE: u64 = 4;

/// Longest time for claiming. Most objects restart faster, and the attempts still fit into the
/// invocation.
const CLAIM_WITHIN: Millis = Millis::from_secs(15);

/// A granted job: its work and its body.
pub(super) type Granted = (Work, Vec<u8>);

/// The result of a message's claims.
pub(super) struct Claimed {
    /// The granted jobs.
    pub(super) granted: Vec<Granted>,
    /// The message to send in place of this one, about jobs that may have a lease under which nothing was
    /// sent.
    pub(super) replacement: Option<Message>,
}

/// Claims the jobs of a message. The claim is repeated with the same tokens while there is no response,
/// and while a response grants nothing and leaves a job undecided that may have been granted before.
pub(super) async fn claim<P: ConsumerPorts>(run: Run<'_, P>, message: &Message) -> Claimed {
    let Run { ports, policy, .. } = run;
    let mut tries = Tries {
        ports,
        message,
        lease: policy.lease,
        tokens: message.jobs.iter().map(|_| random_token(ports)).collect(),
        unheard: 0,
    };
    let call = tries.call();
    let longest = Millis(policy.lease.0 / CLAIM_PART_OF_LEASE).min(CLAIM_WITHIN);
    // Even if the first try hangs, a second one fits.
    let once = longest.half().min(SHARD_TIMEOUT);
    if let Some(claimed) = tries.once(&call, once).await {
        return claimed;
    }
    let repeated = async {
        let mut wait = CLAIM_WAIT;
        loop {
            ports.sleep(wait).await;
            wait = wait.times(2);
            if let Some(claimed) = tries.once(&call, once).await {
                return claimed;
            }
        }
    };
    let claimed = within(ports, longest, repeated).await;
    claimed.unwrap_or_else(|Unavailable| Claimed {
        granted: Vec::new(),
        replacement: tries.replacement(|_| true),
    })
}

/// The tries of one message's claims, all with the same tokens.
struct Tries<'a, P> {
    ports: &'a P,
    message: &'a Message,
    lease: Millis,
    /// A token for each job.
    tokens: Vec<u64>,
    /// Tries without a response. Each may have been granted, or may still be.
    unheard: u32,
}

impl<P: ConsumerPorts> Tries<'_, P> {
    fn call(&self) -> Call {
        let claims = self.jobs().map(|(key, token, earlier)| Claim {
            key,
            token,
            lease: self.lease,
            unsent: earlier.to_vec(),
        });
        Call::Claim(claims.collect())
    }

    /// The jobs, each with its token and the tokens of earlier claims that had no response.
    fn jobs(&self) -> impl Iterator<Item = (RowKey, u64, &[u64])> {
        let Message { jobs, unsent, .. } = self.message;
        let unsent = unsent.iter().map(Vec::as_slice);
        let unsent = unsent.chain(std::iter::repeat(&[][..]));
        let tokens = jobs.iter().copied().zip(self.tokens.iter().copied());
        tokens
            .zip(unsent)
            .map(|((key, token), earlier)| (key, token, earlier))
    }

    /// Sends the claims once. `None`: they must be sent again.
    async fn once(&mut self, call: &Call, longest: Millis) -> Option<Claimed> {
        self.unheard = self.unheard.saturating_add(1);
        let answer = claim_once(self.ports, self.message.shard, call, longest).await;
        let Answer { granted, undecided } = answer.ok()?;
        self.unheard = self.unheard.saturating_sub(1);
        let replacement = self.replacement(|key| undecided.contains(&key));
        (replacement.is_none() || !granted.is_empty()).then_some(Claimed {
            granted,
            replacement,
        })
    }

    /// The message about those `open` jobs that may have a lease under which nothing was sent. `None` if
    /// there are none.
    fn replacement(&self, open: impl Fn(RowKey) -> bool) -> Option<Message> {
        let now = self.ports.now();
        // If all tries had a response, nothing was granted under the tokens of these claims.
        let unheard = self.unheard > 0;
        let until = if unheard {
            Some(now.plus(self.lease))
        } else {
            self.message.unsent_until
        };
        let unsent_until = Some(until.filter(|until| now < *until)?);
        let jobs = self.jobs().filter(|(key, ..)| open(*key));
        let (jobs, unsent): (Vec<_>, Vec<_>) = jobs
            .map(|(key, token, earlier)| {
                let mut unsent = earlier.to_vec();
                unsent.extend(unheard.then_some(token));
                (key, newest(unsent))
            })
            .unzip();
        (!jobs.is_empty()).then_some(Message {
            jobs,
            unsent,
            unsent_until,
            ..*self.message
        })
    }
}

/// The newest [`UNSENT_MAX`] of these tokens. The lease of an older one has lapsed unless leases are long, and
/// a newer claim may have taken it over.
fn newest(mut unsent: Vec<u64>) -> Vec<u64> {
    let excess = unsent.len().saturating_sub(UNSENT_MAX);
    unsent.drain(..excess);
    unsent
}

/// The reply to a claim.
struct Answer {
    granted: Vec<Granted>,
    undecided: Vec<RowKey>,
}

async fn claim_once<P: ConsumerPorts>(
    ports: &P,
    shard: u16,
    call: &Call,
    longest: Millis,
) -> Result<Answer, Unavailable> {
    let bytes = ask_shard(ports, shard, call, CallBody::Empty, longest).await?;
    let mut answer = Answer {
        granted: Vec::new(),
        undecided: Vec::new(),
    };
    for frame in frame::decode(&bytes).ok_or(Unavailable)? {
        if let Ok(work) = serde_json::from_str::<Work>(&frame.json) {
            answer.granted.push((work, frame.body));
        } else if let Ok(job) = serde_json::from_str::<Undecided>(&frame.json) {
            answer.undecided.push(job.undecided);
        }
    }
    Ok(answer)
}

fn random_token<P: Host>(ports: &P) -> u64 {
    let mut bytes = [0; 8];
    ports.random(&mut bytes);
    u64::from_le_bytes(bytes)
}
