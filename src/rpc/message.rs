//! Queue messages: hints that some jobs of a shard are ready to run. A lost message only delays its jobs;
//! the shard sends another.

use serde::{Deserialize, Serialize};

use crate::job::{Millis, Priority, RowKey, UnixMillis};
use crate::shard::JobMessage;

/// Version of the queued form.
pub const MESSAGE_VERSION: u8 = 1;

/// Most jobs in one message. A consumer invocation has six connections that may wait for headers at a
/// time; one is kept for renewals and reports, which must not wait for an origin. More jobs would only
/// wait, while their leases run.
pub const JOBS_PER_MESSAGE: usize = 5;

/// A consumer invocation may take 15 minutes
/// (<https://developers.cloudflare.com/queues/platform/limits/>), and one attempt 14. A message that has to
/// wait longer than this is handed back: its attempts might be cut off with their outcome unknown.
pub const BEGIN_WITHIN: Millis = Millis::from_secs(30);

/// Longest delay that a queue accepts (12 hours). Later jobs get their message from the alarm.
pub const DELAY_MAX: Millis = Millis::from_secs(12 * 3600);

/// Most messages that a queue takes at once
/// (<https://developers.cloudflare.com/queues/platform/limits/>). This many of ours stay far below the
/// 256 KB that it accepts at once.
pub const MESSAGES_PER_BATCH: usize = 100;

/// Most tokens that a message names for a job, as one claim of the message's jobs must fit into a header. A
/// consumer adds one only after a quarter of a lease (or 15 seconds, for leases above a minute), or when other
/// jobs of its message were granted. So with a lease of up to a minute, no more leases can be current.
pub const UNSENT_MAX: usize = 2 * JOBS_PER_MESSAGE - 1;

/// What is queued, as JSON text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// [`MESSAGE_VERSION`].
    pub v: u8,
    /// The shard that holds the jobs.
    pub shard: u16,
    /// Their rows.
    pub jobs: Vec<RowKey>,
    /// For each of these jobs, in their order, the tokens under which consumers claimed it without getting a
    /// response, oldest first, at most [`UNSENT_MAX`]. Nothing was sent under them, so the next claim takes
    /// over such a lease.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unsent: Vec<Vec<u64>>,
    /// When the leases of these tokens have lapsed at the latest. After that the tokens are useless.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsent_until: Option<UnixMillis>,
}

/// A message with its queue and delay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The queue.
    pub priority: Priority,
    /// Delivered after this many seconds.
    pub delay_secs: u64,
    /// The message.
    pub text: String,
}

/// Why a message cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// A later build wrote it, which is being deployed or was rolled back. Let the queue deliver it again.
    LaterBuild,
    /// It is not a message of ours. Redelivery cannot help.
    Foreign,
}

impl Message {
    /// Reads a message.
    pub fn read(text: &str) -> Result<Self, Unread> {
        /// What messages of every build have in common.
        #[derive(Deserialize)]
        struct Version {
            v: u8,
        }
        let version: Version = serde_json::from_str(text).map_err(|_| Unread::Foreign)?;
        if version.v > MESSAGE_VERSION {
            return Err(Unread::LaterBuild);
        }
        serde_json::from_str(text).map_err(|_| Unread::Foreign)
    }
}

/// Packs what a shard wants sent into as few messages as possible: each is billed.
#[must_use]
pub fn pack(shard: u16, sends: &[JobMessage]) -> Vec<Outgoing> {
    let mut groups: Vec<(Priority, u64, Vec<RowKey>)> = Vec::new();
    for send in sends {
        // A longer delay than a queue accepts is cut: the shard's own wake-up sends another message.
        let delay = send.delay.min(DELAY_MAX).ceil_secs();
        let open = groups.iter_mut().find(|(priority, secs, jobs)| {
            *priority == send.priority && *secs == delay && jobs.len() < JOBS_PER_MESSAGE
        });
        match open {
            Some((_, _, jobs)) if jobs.contains(&send.key) => {}
            Some((_, _, jobs)) => jobs.push(send.key),
            None => groups.push((send.priority, delay, vec![send.key])),
        }
    }
    groups
        .into_iter()
        .filter_map(|(priority, delay_secs, jobs)| {
            let message = Message {
                v: MESSAGE_VERSION,
                shard,
                jobs,
                unsent: Vec::new(),
                unsent_until: None,
            };
            let text = serde_json::to_string(&message).ok()?;
            Some(Outgoing {
                priority,
                delay_secs,
                text,
            })
        })
        .collect()
}

/// Groups messages by queue: a call to a queue is many times as expensive as one more message in it.
#[must_use]
pub fn batches(messages: Vec<Outgoing>) -> Vec<Vec<Outgoing>> {
    let mut batches: Vec<Vec<Outgoing>> = Vec::new();
    for message in messages {
        let open = batches.iter_mut().find(|batch| {
            batch.len() < MESSAGES_PER_BATCH
                && batch
                    .first()
                    .is_some_and(|first| first.priority == message.priority)
        });
        match open {
            Some(batch) => batch.push(message),
            None => batches.push(vec![message]),
        }
    }
    batches
}
