//! What the Worker and the consumer say to a shard, and how it is written down.
//!
//! A call is JSON in one request header, so that the request's body can be a stream that is handed
//! on untouched. It is escaped to ASCII, because that is what a header carries safely. Both sides
//! may be of different builds during a deploy: fields are only ever added, with defaults.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::job::{BodyRef, JobId, JobSpec, Millis, Outcome, RowKey};

use crate::rpc::frame::Frame;

pub use crate::rpc::head::{HEAD_VERSION, RequestHead, ResponseHead};

/// The header that carries a call.
pub const CALL_HEADER: &str = "raincheck-call";

/// In a shard's answer: the key of the object that holds the body which the answer lacks.
pub const OBJECT_HEADER: &str = "raincheck-object";

/// In a shard's answer: the first byte and the number of bytes of that object to send.
pub const SLICE_HEADER: &str = "raincheck-slice";

/// In a shard's answer to a call that asked to be held: the id of the job.
pub const HELD_HEADER: &str = "raincheck-held";

/// In a receipt for a call that asked to be held: the job was there already.
pub const REPEATS_HEADER: &str = "raincheck-repeats";

/// Largest body that is kept in the record's row instead of the bucket. A row may have 2 MB; up to
/// here one row costs less than an R2 write ($1.00 against $4.50 per million), and a full gathering
/// window of such bodies is a small part of an isolate's 128 MB.
pub const INLINE_MAX: u64 = 64 * 1024;

/// Version of the calls. A shard refuses a later one, and the caller answers 503 meanwhile.
pub const CALL_VERSION: u8 = 1;

/// A call in its envelope.
#[derive(Debug, Serialize, Deserialize)]
pub struct Envelope {
    /// [`CALL_VERSION`].
    pub v: u8,
    /// The shard that is meant: it learns its number from the first call.
    pub shard: u16,
    /// What is asked.
    pub call: Call,
}

/// What is asked of a shard.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// Take a request in. The body, where it is small, is the call's body.
    Accept(Box<AcceptCall>),
    /// Show a job.
    View(ViewCall),
    /// Tell when a job ends: answered with a WebSocket that gets one message, or at once with 204 if
    /// there is nothing to wait for.
    Watch(JobCall),
    /// Cancel a job.
    Cancel(ViewCall),
    /// Erase a job that has ended.
    Purge(ViewCall),
    /// Run a failed job again, as a new one.
    Redrive(RedriveCall),
    /// Grant the right to run these; answered with frames.
    Claim(Vec<ClaimCall>),
    /// Extend a lease.
    Renew(ClaimCall),
    /// Record what attempts came to. The call's body has a frame for each, see [`FinishCall::frame`];
    /// the answer is a JSON list with a [`FinishAnswer`] for each, or null where the report could not
    /// be recorded and is to be repeated.
    Finish,
    /// An object is about to be written.
    Intend {
        /// Its key.
        object: String,
        /// The job it is for, if there is one already.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        job: Option<RowKey>,
    },
    /// A queue gave up on messages of these jobs.
    DeadLetter(Vec<RowKey>),
}

/// A request that wants to become a job.
#[derive(Debug, Serialize, Deserialize)]
pub struct AcceptCall {
    /// Where clients reach the jobs: scheme, host and mount.
    pub base: String,
    /// What the job is to be.
    pub spec: JobSpec,
    /// Hash of owner and idempotency key, and how long it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyCall>,
    /// Only look whether the key stands for a job already; answer 204 when it does not.
    #[serde(default, skip_serializing_if = "is_false")]
    pub lookup: bool,
    /// `Preference-Applied: respond-async` belongs into the receipt.
    #[serde(default, skip_serializing_if = "is_false")]
    pub preferred: bool,
    /// The receipt goes back to a caller that waits: name the job in [`HELD_HEADER`].
    #[serde(default, skip_serializing_if = "is_false")]
    pub held: bool,
    /// The method and target, for the fingerprint.
    pub method: String,
    /// The target as the client sent it.
    pub target: String,
    /// The request head, as [`RequestHead`]; the shard keeps it as it is.
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
    /// It is the body of the call, of this length where the client announced one.
    Inline(Option<u64>),
    /// It is in the bucket.
    Object(BodyRef),
}

/// An idempotency key as it goes to the shard: only its hash does.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeyCall {
    /// Hash of owner and key.
    pub hash: String,
    /// How long it stands.
    pub window: Millis,
}

/// Which part of a job is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// The status document.
    Status,
    /// The origin's response.
    Result,
}

/// What a request that is held for the result has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// It made the job.
    Created,
    /// It repeats an earlier request with the same key.
    Repeated,
}

/// A call about one job, by somebody who holds its id.
#[derive(Debug, Serialize, Deserialize)]
pub struct ViewCall {
    /// The job's id.
    pub id: String,
    /// Where clients reach the jobs.
    pub base: String,
    /// What is wanted.
    pub view: View,
    /// Answer without content.
    #[serde(default, skip_serializing_if = "is_false")]
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
    /// The caller holds a request with a receipt: name the job in [`HELD_HEADER`] where the response is about
    /// the job, and not about a storage that cannot be read now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// Show the history of attempts in the document.
    #[serde(default, skip_serializing_if = "is_false")]
    pub include_attempts: bool,
}

/// The wish to run a failed job again.
#[derive(Debug, Serialize, Deserialize)]
pub struct RedriveCall {
    /// Which job.
    pub view: ViewCall,
    /// A copy of the request's body for the new job, where the body is in the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<BodyRef>,
}

/// A call about one job that shows nothing of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct JobCall {
    /// The job's id.
    pub id: String,
}

/// One claim or renewal.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ClaimCall {
    /// The job.
    pub key: RowKey,
    /// The fencing token. A claim may be repeated with the same token when its answer did not come: if it
    /// was granted, it is granted again, as the same attempt.
    pub token: u64,
    /// How long the lease is to be.
    pub lease: Millis,
    /// The token of an earlier claim of this job whose answer was lost, so that nothing was sent to the
    /// origin under it. If that lease still stands, `token` takes it over, as the same attempt. Whoever
    /// has sent anything under a token must not name it here. Renewals leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsent: Option<u64>,
}

/// A report about an attempt: one frame in the body of [`Call::Finish`]. Heads of several responses
/// could be too much for the header that carries the call.
#[derive(Debug, Serialize, Deserialize)]
pub struct FinishCall {
    /// The job.
    pub key: RowKey,
    /// The token of the lease.
    pub token: u64,
    /// What happened.
    pub outcome: Outcome,
    /// The head of the response, as [`ResponseHead`]; the shard keeps it as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Box<RawValue>>,
    /// The response's body, where it is in the bucket; otherwise it is the body of the frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<BodyRef>,
}

/// The answer to one report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishAnswer {
    /// The response is the job's result. When it is not, its object is to be deleted.
    pub kept: bool,
}

/// The answer to a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewAnswer {
    /// Whether the lease stands.
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
    /// The request's body, if there is one: in the bucket, or else in the frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<BodyRef>,
}

impl Envelope {
    /// Writes a call for the header: a [`Call`], or what looks like one when it is written. Fails only
    /// if a value cannot be JSON, which none can.
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
    /// Whether it waits for a commit that it shares: what writes does, what only reads need not, and
    /// what is rare is not worth it.
    #[must_use]
    pub const fn shares_commit(&self) -> bool {
        match self {
            Self::Accept(call) => !call.lookup,
            Self::Claim(_) | Self::Finish => true,
            _ => false,
        }
    }

    /// Whether the answer is complete as the shard gives it: a document, never a stored body.
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
    /// The report as a frame, with the response's body where that is small. Fails only if a value
    /// cannot be JSON, which none can.
    pub fn frame(&self, body: Vec<u8>) -> Result<Frame, serde_json::Error> {
        let json = serde_json::to_string(self)?;
        Ok(Frame { json, body })
    }
}

impl ViewCall {
    /// A plain look at a job.
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

    /// The id, if it is one of this shard's.
    #[must_use]
    pub fn job_id(&self, shard: u16) -> Option<JobId> {
        JobId::parse(&self.id).filter(|id| id.shard == shard)
    }
}

/// JSON allows every character to be written in ASCII; only strings can hold others.
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

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
const fn is_false(flag: &bool) -> bool {
    !*flag
}
