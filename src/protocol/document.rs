//! The status document, and the header fields of the responses that carry it.
//!
//! Names follow what clients of long-running operations expect: `status` with one-l `canceled`,
//! `resourceLocation`, `error.code`, `Operation-Location`.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::job::{FailureCode, JobId, Millis, Record, Status, UnixMillis};

use super::problem::ProblemCode;
use super::result::{NO_REFERRER, REFERRER_POLICY};
use crate::http::Headers;
use crate::http::conditional::etag;
use crate::http::date::rfc3339;

/// Longest `Retry-After`, in seconds. It grows with the job's age; with more, clients would notice the end
/// of a job late.
const RETRY_AFTER_MAX: u64 = 30;

/// `Retry-After` is the job's age divided by this, so that a client notices the end after at most an eighth
/// more time.
const RETRY_AFTER_SHARE: u64 = 8;

/// The data of a status document.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a> {
    /// The job's id.
    pub id: &'a JobId,
    /// Its record.
    pub record: &'a Record,
    /// Scheme, host and mount: the prefix of every URL in the document.
    pub base: &'a str,
    /// The result, if it is small JSON.
    pub output: Option<&'a RawValue>,
    /// Whether to include the history of attempts.
    pub attempts: bool,
}

#[derive(Serialize)]
struct Body<'a> {
    id: &'a str,
    status: &'static str,
    rule: &'a str,
    priority: &'static str,
    created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<String>,
    updated: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished: Option<String>,
    expires: String,
    deadline: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency_expires: Option<String>,
    attempt: u32,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_acted: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redrive_of: Option<&'a str>,
    urls: Urls<'a>,
    #[serde(rename = "resourceLocation", skip_serializing_if = "Option::is_none")]
    resource_location: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Vec<AttemptBody>>,
}

#[derive(Serialize)]
struct Urls<'a> {
    get: &'a str,
    result: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancel: Option<String>,
}

#[derive(Serialize)]
struct ErrorBody {
    code: &'static str,
    message: String,
    r#type: String,
    title: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
}

#[derive(Serialize)]
struct AttemptBody {
    attempt: u32,
    started: String,
    duration_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
}

impl Document<'_> {
    /// The document as JSON text.
    #[must_use]
    pub fn to_json(&self) -> String {
        let record = self.record;
        let id = self.id.to_string();
        let get = format!("{}/{id}", self.base);
        let result = format!("{get}/result");
        let active = !record.is_terminal();
        let next_attempt = record.due().filter(|due| *due > record.created);
        let body = Body {
            id: &id,
            status: record.status().as_str(),
            rule: &record.spec.rule,
            priority: record.spec.priority.as_str(),
            created: rfc3339(record.created),
            started: record.started.map(rfc3339),
            updated: rfc3339(record.updated),
            finished: record.finished().map(rfc3339),
            expires: rfc3339(record.expires),
            deadline: rfc3339(record.deadline()),
            idempotency_expires: record.key.as_ref().map(|key| rfc3339(key.ends)),
            attempt: record.attempt,
            attempts: record.spec.plan.attempts,
            not_acted: Some(record.not_acted).filter(|count| *count > 0),
            next_attempt: next_attempt.map(rfc3339),
            redrive_of: record.redrive_of.as_deref(),
            urls: Urls {
                cancel: active.then(|| format!("{get}/cancel")),
                get: &get,
                result: &result,
            },
            resource_location: (record.status() == Status::Succeeded).then_some(result.as_str()),
            output: self.output,
            error: error_body(record, self.base),
            history: self.attempts.then(|| history(record)),
        };
        // Strings and numbers always serialize.
        serde_json::to_string(&body).unwrap_or_default()
    }

    /// The entity tag of the document.
    #[must_use]
    pub fn etag(&self) -> String {
        etag(
            u64::from(self.record.version),
            if self.attempts { "attempts" } else { "" },
        )
    }

    /// Header fields of every response with this document.
    #[must_use]
    pub fn headers(&self, now: UnixMillis) -> Headers {
        let mut headers = Headers::new();
        headers.push("content-type", "application/json");
        headers.push("cache-control", "no-store");
        headers.push("x-content-type-options", "nosniff");
        headers.push(REFERRER_POLICY, NO_REFERRER);
        headers.push("etag", self.etag());
        if let Some(secs) = retry_after(self.record, now) {
            headers.push("retry-after", secs.to_string());
        }
        headers
    }

    /// Header fields of the receipt (RFC 9110 section 15.3.3). `preferred`: the client sent
    /// `Prefer: respond-async` (RFC 7240 section 4.1).
    #[must_use]
    pub fn receipt_headers(&self, now: UnixMillis, preferred: bool) -> Headers {
        let id = self.id;
        let get = format!("{}/{id}", self.base);
        let mut headers = self.headers(now);
        headers.push("location", format!("{get}/result"));
        headers.push("operation-location", get.clone());
        headers.push("content-location", get.clone());
        headers.push(
            "link",
            format!("<{get}>; rel=\"status\", <{get}>; rel=\"monitor\""),
        );
        headers.push("vary", "Prefer");
        if preferred {
            headers.push("preference-applied", "respond-async");
        }
        headers
    }
}

/// Seconds after which a client should read the job again; `None` once it has ended.
#[must_use]
pub fn retry_after(record: &Record, now: UnixMillis) -> Option<u64> {
    if record.is_terminal() {
        return None;
    }
    let of_age = Millis(now.since(record.created).0 / RETRY_AFTER_SHARE).ceil_secs();
    let until_due = record.due().map_or(0, |due| due.since(now).ceil_secs());
    Some(of_age.max(until_due).clamp(1, RETRY_AFTER_MAX))
}

/// The problem at the result URL of a job that failed without a response from the origin.
#[must_use]
pub const fn failure_problem(code: FailureCode) -> ProblemCode {
    match code {
        FailureCode::OriginError => ProblemCode::OriginError,
        FailureCode::OriginUnreachable => ProblemCode::OriginUnreachable,
        FailureCode::OriginProtocolError => ProblemCode::OriginProtocolError,
        FailureCode::OutcomeUnknown => ProblemCode::OutcomeUnknown,
        FailureCode::DeadlineExceeded => ProblemCode::DeadlineExceeded,
        FailureCode::ResultTooLarge => ProblemCode::ResultTooLarge,
        FailureCode::ResultNotStored => ProblemCode::ResultNotStored,
        FailureCode::PayloadUnavailable => ProblemCode::PayloadUnavailable,
    }
}

fn error_body(record: &Record, base: &str) -> Option<ErrorBody> {
    let failure = record.failure()?;
    let problem = failure_problem(failure.code);
    let message = match failure.status {
        Some(status) => format!("{} (status {status}).", problem.title()),
        None => format!("{}.", problem.title()),
    };
    Some(ErrorBody {
        code: failure.code.as_str(),
        message,
        r#type: problem.type_uri(base),
        title: problem.title(),
        status: failure.status.or(Some(problem.status())),
    })
}

fn history(record: &Record) -> Vec<AttemptBody> {
    let notes = record.history.iter();
    notes
        .map(|note| AttemptBody {
            attempt: note.attempt,
            started: rfc3339(note.began),
            duration_ms: note.ended.since(note.began).0,
            status: note.status,
            error: note.code.map(FailureCode::as_str),
        })
        .collect()
}
