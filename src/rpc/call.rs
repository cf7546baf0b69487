//! The calls of Worker and consumer to a shard, and their encoding.
//!
//! A call is JSON in one request header, so that the body can be a stream that is passed on
//! untouched. It is escaped to ASCII, which headers carry safely. During a deploy both sides may be
//! different builds, so fields are only added, with defaults.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::job::{BodyRef, JobId, JobSpec, Millis, Outcome, RowKey};

use super::frame::Frame;
use super::head::RequestHead;
pub use crate::shard::Claim;

/// In a shard's reply: the key of the object that holds the body.
pub const OBJECT_HEADER: &str = "raincheck-object";

/// In a shard's reply: which part of that object to send, as first byte and number of bytes.
pub const SLICE_HEADER: &str = "raincheck-slice";

/// In a shard's reply to a held request's call: the id of the job.
pub const HELD_HEADER: &str = "raincheck-held";

/// In the receipt for a held request: the job existed already.
pub const REPEATS_HEADER: &str = "raincheck-repeats";

/// Largest body that is kept in the record's row instead of the bucket. A row may have 2 MB and costs
/// less than an R2 write ($1.00 against $4.50 per million). A full commit group of such bodies is a
/// small part of an isolate's 128 MB.
pub const INLINE_MAX: u64 = 64 * 1024;

/// Version of the calls. A shard rejects a later one, and the client gets 503.
pub const CALL_VERSION: u8 = 1;

/// A call in its envelope.
#[derive(Debug, Serialize, Deserialize)]
pub struct Envelope {
    /// [`CALL_VERSION`].
    pub v: u8,
    /// The number of the shard, which learns it from the first call.
    pub shard: u16,
    /// The call.
    pub call: Call,
}

/// A call to a shard.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// Accept a request. A small body is the call's body.
    Accept(Box<AcceptCall>),
    /// Show a job.
    View(ViewCall),
    /// Tell when a job ends. The reply is a WebSocket that gets one message, or 204 if there is nothing to
    /// wait for.
    Watch(JobCall),
    /// Cancel a job.
    Cancel(ViewCall),
    /// Erase a job that has ended.
    Purge(ViewCall),
    /// Run a failed job again, as a new one.
    Redrive(RedriveCall),
    /// Grant the right to run these jobs; the reply has a frame for each grant ([`Work`]) and for each job
    /// that could not be decided ([`Undecided`]).
    Claim(Vec<Claim>),
    /// Extend a lease.
    Renew(Claim),
    /// Record the outcome of attempts. The call's body has a frame for each, see [`FinishCall::frame`];
    /// the reply is a JSON list with a [`FinishAnswer`] for each, or null for a report that could not be
    /// recorded and must be repeated.
    Finish,
    /// An object is about to be written.
    Intend {
        /// Its key.
        object: String,
        /// Its job, if there is one already.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        job: Option<RowKey>,
    },
    /// A queue gave up on messages of these jobs.
    DeadLetter(Vec<RowKey>),
}

/// A request to be accepted as a job.
#[derive(Debug, Serialize, Deserialize)]
pub struct AcceptCall {
    /// Where clients reach the jobs: scheme, host and mount.
    pub base: String,
    /// The description of the job.
    pub spec: JobSpec,
    /// The idempotency key, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyCall>,
    /// Only look for a job with this key; the reply is 204 if there is none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lookup: bool,
    /// The receipt gets `Preference-Applied: respond-async`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub preferred: bool,
    /// The request is held: name the job in [`HELD_HEADER`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// The method and target, for the fingerprint.
    pub method: String,
    /// The target as the client sent it.
    pub target: String,
    /// The request head, a [`RequestHead`]; opaque to the shard.
    pub request: Box<RawValue>,
    /// The body.
    pub payload: PayloadCall,
}

/// Where the request's body is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PayloadCall {
    /// There is none.
    Absent,
    /// It is the body of the call, of this length if the client announced one.
    Inline(Option<u64>),
    /// It is in the bucket.
    Object(BodyRef),
}

/// An idempotency key. The shard gets only its hash.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeyCall {
    /// Hash of owner and key.
    pub hash: String,
    /// How long the key identifies the job.
    pub window: Millis,
}

/// Which part of a job to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// The status document.
    Status,
    /// The origin's response.
    Result,
}

/// What a held request did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// It created the job.
    Created,
    /// It repeats an earlier request with the same key.
    Repeated,
}

/// A call about one job from a client that has its id.
#[derive(Debug, Serialize, Deserialize)]
pub struct ViewCall {
    /// The job's id.
    pub id: String,
    /// Where clients reach the jobs.
    pub base: String,
    /// What to show.
    pub view: View,
    /// Reply without content (HEAD).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub head: bool,
    /// `If-Match` of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_match: Option<String>,
    /// `If-None-Match` of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_none_match: Option<String>,
    /// `If-Modified-Since` of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_modified_since: Option<String>,
    /// `If-Unmodified-Since` of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_unmodified_since: Option<String>,
    /// `Range` of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
    /// `If-Range` of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_range: Option<String>,
    /// The request is held, and has its receipt. Name the job in [`HELD_HEADER`], unless the reply is a storage
    /// error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// Show the history of attempts in the document.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub include_attempts: bool,
}

/// Run a failed job again.
#[derive(Debug, Serialize, Deserialize)]
pub struct RedriveCall {
    /// Which job.
    pub view: ViewCall,
    /// A copy of the request's body for the new job, if the body is in the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<BodyRef>,
}

/// A call about one job that shows none of its data.
#[derive(Debug, Serialize, Deserialize)]
pub struct JobCall {
    /// The job's id.
    pub id: String,
}

/// A report about an attempt: one frame in the body of [`Call::Finish`]. The heads of several responses
/// may not fit into the call's header.
#[derive(Debug, Serialize, Deserialize)]
pub struct FinishCall {
    /// The job.
    pub key: RowKey,
    /// The token of the lease.
    pub token: u64,
    /// What happened.
    pub outcome: Outcome,
    /// The head of the response, a [`ResponseHead`](super::head::ResponseHead); opaque to the shard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Box<RawValue>>,
    /// The response's body, if it is in the bucket; otherwise it is the body of the frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<BodyRef>,
}

/// The reply to one report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishAnswer {
    /// The response is the job's result. If it is not, the caller deletes its object.
    pub kept: bool,
}

/// The reply to a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewAnswer {
    /// Whether the lease was extended.
    pub renewed: bool,
}

/// What the consumer needs to run one attempt.
#[derive(Debug, Serialize, Deserialize)]
pub struct Work {
    /// The job's id.
    pub id: String,
    /// Its row.
    pub key: RowKey,
    /// The token of the lease.
    pub token: u64,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// How long the attempt may take.
    pub timeout: Millis,
    /// The name of the origin; empty for the default one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub origin: String,
    /// The request, as [`RequestHead`].
    pub request: RequestHead,
    /// The request's body, if there is one: in the bucket or in the frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<BodyRef>,
}

/// In the reply to a claim: a job that was neither granted nor refused, because this build cannot read its
/// row or the storage failed. An earlier claim of it may have been granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undecided {
    /// The job.
    pub undecided: RowKey,
}

impl Envelope {
    /// Encodes a call for the header: a [`Call`], or a type that serializes like one. Fails only if a value
    /// cannot be JSON; all of these can.
    pub fn header_of<C: Serialize>(shard: u16, call: &C) -> Result<String, serde_json::Error> {
        #[derive(Serialize)]
        struct Borrowed<'a, C> {
            v: u8,
            shard: u16,
            call: &'a C,
        }
        let v = CALL_VERSION;
        serde_json::to_string(&Borrowed { v, shard, call }).map(escape_non_ascii)
    }

    /// Reads a call.
    pub fn from_header(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

impl Call {
    /// Whether the call shares a commit with others: frequent writes do. Reads need no commit, and rare
    /// calls are not worth the wait.
    #[must_use]
    pub const fn shares_commit(&self) -> bool {
        match self {
            Self::Accept(call) => !call.lookup,
            Self::Claim(_) | Self::Finish => true,
            _ => false,
        }
    }

    /// Whether the shard's reply is complete: a document, never a stored body.
    #[must_use]
    pub fn is_about_status(&self) -> bool {
        match self {
            Self::View(view) => view.view == View::Status,
            Self::Cancel(_) | Self::Purge(_) => true,
            _ => false,
        }
    }
}

impl FinishCall {
    /// The report as a frame, with the response's body if that is small. Fails only if a value cannot be
    /// JSON; all of these can.
    pub fn frame(&self, body: Vec<u8>) -> Result<Frame, serde_json::Error> {
        let json = serde_json::to_string(self)?;
        Ok(Frame { json, body })
    }
}

impl ViewCall {
    /// An unconditional read of a job.
    #[must_use]
    pub fn of(id: &JobId, base: String, view: View) -> Self {
        Self {
            id: id.to_string(),
            base,
            view,
            head: false,
            if_match: None,
            if_none_match: None,
            if_modified_since: None,
            if_unmodified_since: None,
            range: None,
            if_range: None,
            held: None,
            include_attempts: false,
        }
    }

    /// The id, if it belongs to this shard.
    #[must_use]
    pub fn job_id(&self, shard: u16) -> Option<JobId> {
        JobId::parse(&self.id).filter(|id| id.shard == shard)
    }
}

/// Escapes non-ASCII characters, which can only be in strings.
fn escape_non_ascii(json: String) -> String {
    if json.is_ascii() {
        return json;
    }
    let mut escaped = String::with_capacity(json.len().saturating_mul(2));
    let mut units = [0_u16; 2];
    for character in json.chars() {
        if character.is_ascii() {
            escaped.push(character);
        } else {
            for unit in character.encode_utf16(&mut units) {
                // Writing to a String cannot fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        }
    }
    escaped
}
