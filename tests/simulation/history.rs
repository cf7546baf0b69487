//! The events of a run in order. The checker reads only this and the final database.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use raincheck::job::{JobId, Outcome, Record};

/// A job: its shard, its row, and a tag of its secret, because a row may be used again.
pub type Job = (u16, u64, u32);

/// The job of an id.
pub fn job_of(id: &JobId) -> Job {
    (id.shard, id.key.0, tag_of(id.secret.0.as_bytes()))
}

/// A few bits that tell secrets apart.
pub fn tag_of(secret: &[u8]) -> u32 {
    secret
        .iter()
        .take(3)
        .fold(1, |tag, byte| (tag << 8) | u32::from(*byte))
}

/// A request that should become a job, as the client intended it.
#[derive(Debug, PartialEq, Eq)]
pub struct Wish {
    pub owner: String,
    pub key: Option<String>,
    pub method: &'static str,
    pub target: String,
    /// Hash of the body; empty for none.
    pub body: String,
    /// The request may be sent to the origin more than once, whatever the outcome.
    pub repeatable: bool,
    /// The request must be rejected: it is too large, incomplete, or lacks a required field.
    pub hopeless: bool,
}

/// A client's request about a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    Status,
    Result,
    Cancel,
    Purge,
    Redrive,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A client sends a request.
    Sent { op: u32, wish: Rc<Wish> },
    /// It gets a response; `job` and `location` if that is a receipt.
    Answered {
        op: u32,
        status: u16,
        job: Option<Job>,
        location: String,
        alarm: Option<u64>,
    },
    /// A client sends a request about a job.
    Asked {
        op: u32,
        ask: Ask,
        job: Job,
        genuine: bool,
    },
    /// The response: status, version in the entity tag, `status` of the document, hash of the content.
    Told {
        op: u32,
        status: u16,
        version: Option<u64>,
        state: Option<String>,
        body: String,
        job: Option<Job>,
    },
    /// An attempt's report reaches the shard.
    Report {
        job: Job,
        token: u64,
        outcome: Outcome,
        object: Option<String>,
    },
    /// A claim or renewal reaches the shard.
    Claim { job: Job, token: u64 },
    /// A row was stored.
    Stored { job: Job, record: Rc<Record> },
    /// A row was deleted.
    Erased { job: Job },
    /// A consumer hands a request of this job to the platform, which may or may not reach the origin.
    Tried { job: Job },
    /// The consumer that had a message about these rows was killed or frozen, or could not hand the message
    /// back; or their leases lapsed while only a later build could read the rows.
    Struck { shard: u16, keys: Vec<u64> },
    /// A request reaches the origin.
    Origin(Rc<Call>),
    /// An alarm fired.
    Rang { shard: u16 },
    /// An object was stored or deleted.
    Object { key: String, stored: bool },
    /// A fault struck.
    Fault(&'static str),
    /// The clock was moved by so many milliseconds.
    Clock(i64),
    /// No fault strikes from here on.
    Calm,
}

/// A request at the origin, and what it does about it.
#[derive(Debug)]
pub struct Call {
    pub job: Job,
    pub attempt: u32,
    pub method: String,
    pub target: String,
    pub key: String,
    pub body: String,
    /// The request was cut off in transit.
    pub broken: bool,
    /// The status of the origin's response; 0 if there is none.
    pub status: u16,
    /// It acted, or may have.
    pub acted: bool,
    /// Hash of the response's content, and whether all of it is sent.
    pub answer: String,
    pub complete: bool,
    /// Its consumer got the head of the response.
    pub head_came: Cell<bool>,
}

/// An event with its times: of the world, and on its clock.
#[derive(Clone, Debug)]
pub struct Entry {
    pub at: u64,
    pub clock: u64,
    pub event: Event,
}

fn short(hash: &str) -> &str {
    hash.get(..6).unwrap_or("-")
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9}.{:03}  ", self.at / 1000, self.at % 1000)?;
        match &self.event {
            Event::Sent { .. }
            | Event::Answered { .. }
            | Event::Asked { .. }
            | Event::Told { .. } => self.event.of_client(f),
            Event::Clock(by) => write!(f, "CLOCK {by:+} ms, now {}", self.clock),
            event => event.of_world(f),
        }
    }
}

impl Event {
    fn of_client(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Sent { op, wish } => write!(
                f,
                "#{op} sends {} {} owner={} key={} body={}{}",
                wish.method,
                wish.target,
                wish.owner,
                wish.key.as_deref().unwrap_or("-"),
                short(&wish.body),
                if wish.hopeless { " (hopeless)" } else { "" }
            ),
            Event::Answered {
                op,
                status,
                job,
                alarm,
                ..
            } => {
                write!(f, "#{op} answered {status} job={job:?} alarm={alarm:?}")
            }
            Event::Asked {
                op,
                ask,
                job,
                genuine,
            } => {
                write!(
                    f,
                    "#{op} asks {ask:?} of {job:?}{}",
                    if *genuine { "" } else { " with a false id" }
                )
            }
            Event::Told {
                op,
                status,
                version,
                state,
                body,
                job,
            } => write!(
                f,
                "#{op} told {status} version={version:?} state={} body={} job={job:?}",
                state.as_deref().unwrap_or("-"),
                short(body)
            ),
            _ => Ok(()),
        }
    }

    fn of_world(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Report {
                job,
                token,
                outcome,
                object,
            } => {
                write!(
                    f,
                    "{job:?} report token={token:x} {outcome:?} object={object:?}"
                )
            }
            Event::Claim { job, token } => write!(f, "{job:?} claim token={token:x}"),
            Event::Stored { job, record } => write!(
                f,
                "{job:?} stored {:?} version={} attempt={} due={:?} lease={:?} failure={:?}",
                record.status(),
                record.version,
                record.attempt,
                record.due().map(|due| due.0),
                record.lease().map(|lease| (lease.token, lease.ends.0)),
                record.failure().map(|failure| failure.code),
            ),
            Event::Erased { job } => write!(f, "{job:?} erased"),
            Event::Tried { job } => write!(f, "{job:?} is sent"),
            Event::Struck { shard, keys } => {
                write!(f, "{shard}/{keys:?} are struck: nobody knows what was sent")
            }
            Event::Origin(call) => write!(
                f,
                "{:?} at the origin: attempt {} {} {} body={} answers {} acted={} complete={}",
                call.job,
                call.attempt,
                call.method,
                call.target,
                short(&call.body),
                call.status,
                call.acted,
                call.complete
            ),
            Event::Rang { shard } => write!(f, "shard {shard}: alarm"),
            Event::Object { key, stored } => {
                write!(
                    f,
                    "object {key} {}",
                    if *stored { "stored" } else { "deleted" }
                )
            }
            Event::Fault(name) => write!(f, "FAULT {name}"),
            Event::Calm => write!(f, "CALM"),
            _ => Ok(()),
        }
    }
}
