//! Problems: the machine-readable errors of Raincheck itself (RFC 9457).
//!
//! Texts are fixed, or include only what the client sent or the operator configured. Messages of the
//! storage or the runtime, and stack traces, never go into a problem.

use std::fmt;

use serde::Serialize;

use crate::http::Headers;
use crate::http::target::TargetError;

use super::result::{NO_REFERRER, REFERRER_POLICY, SOURCE, Source};

/// The path segment of the problems' pages: `mount/problems/CODE`.
pub const PAGES: &str = "problems";

/// Media type of a problem (RFC 9457 section 3).
pub const CONTENT_TYPE: &str = "application/problem+json";

/// Declares the codes in one table, with status, retry advice and title.
macro_rules! problem_codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal, $status:literal, $retryable:literal, $title:literal;)+) => {
        /// The stable name of a kind of problem. Each has a page in `docs/problems`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ProblemCode {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl ProblemCode {
            /// All codes.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The code in JSON and URLs.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            /// The HTTP status that carries the problem.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status),+ }
            }

            /// What kind of problem it is, the same for every occurrence.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),+ }
            }

            /// Whether sending the same request again is safe and may help.
            #[must_use]
            pub const fn retryable(self) -> bool {
                match self { $(Self::$variant => $retryable),+ }
            }

            /// Its page in the documentation, in Markdown.
            #[must_use]
            pub const fn page(self) -> &'static str {
                match self {
                    $(Self::$variant => include_str!(concat!("../../docs/problems/", $code, ".md"))),+
                }
            }
        }
    };
}

problem_codes! {
    // The request.
    /// The request is invalid in a way that no other code covers.
    BadRequest = "bad_request", 400, false, "The request is not valid";
    /// The body ended before the length that was announced.
    BodyIncomplete = "body_incomplete", 400, true, "The request body is incomplete";
    /// The body arrives too slowly, or has stopped.
    BodyTimeout = "body_timeout", 408, true, "The request body did not arrive in time";
    /// The rule requires an `Idempotency-Key`.
    IdempotencyKeyRequired = "idempotency_key_required", 400, false, "An Idempotency-Key is required";
    /// The `Idempotency-Key` cannot be used.
    IdempotencyKeyInvalid = "idempotency_key_invalid", 400, false, "The Idempotency-Key is not valid";
    /// The key was used for another request.
    IdempotencyKeyReused = "idempotency_key_reused", 422, false, "The Idempotency-Key belongs to another request";
    /// No credential, or an invalid one.
    Unauthorized = "unauthorized", 401, false, "Authentication is required";
    /// The credential does not permit this.
    Forbidden = "forbidden", 403, false, "Access is denied";
    /// A browser asked for a service worker script below the mount.
    ServiceWorkerRefused = "service_worker_refused", 403, false, "Service workers are not allowed here";
    /// A page asked for a script, worker or style sheet below the mount.
    SubresourceRefused = "subresource_refused", 403, false, "Pages cannot load this as a script, worker or style sheet";
    /// No such job, or the caller may not see it.
    NotFound = "not_found", 404, false, "Not found";
    /// The resource does not support the method.
    MethodNotAllowed = "method_not_allowed", 405, false, "The method is not allowed here";
    /// The job's state does not allow this.
    Conflict = "conflict", 409, false, "The job is not in a state that allows this";
    /// `If-Match` names another version.
    PreconditionFailed = "precondition_failed", 412, false, "The job has changed";
    /// The body is over the rule's limit.
    PayloadTooLarge = "payload_too_large", 413, false, "The request body is too large";
    /// The request target is too long.
    TargetTooLong = "target_too_long", 414, false, "The request target is too long";
    /// No byte of the result is in the range.
    RangeNotSatisfiable = "range_not_satisfiable", 416, false, "The range is outside the result";
    /// The header fields are too large to keep.
    HeadersTooLarge = "headers_too_large", 431, false, "The request header fields are too large";

    // The job.
    /// The job's retention is over.
    JobExpired = "job_expired", 410, false, "The job has expired";
    /// The job was canceled, so it has no result.
    JobCanceled = "job_canceled", 410, false, "The job was canceled";
    /// The origin's final response was a failure.
    OriginError = "origin_error", 502, false, "The origin responded with an error";
    /// No connection to the origin.
    OriginUnreachable = "origin_unreachable", 502, true, "The origin could not be reached";
    /// The origin sent no HTTP response that can be passed on.
    OriginProtocolError = "origin_protocol_error", 502, false, "The origin did not send a valid HTTP response";
    /// The origin's response is over the limit.
    ResultTooLarge = "result_too_large", 502, false, "The origin's response is too large";
    /// The job did not end by its deadline.
    DeadlineExceeded = "deadline_exceeded", 504, false, "The job did not finish by its deadline";
    /// The origin may or may not have acted.
    OutcomeUnknown = "outcome_unknown", 500, false, "It is not known whether the origin acted";
    /// The origin responded, but its response could not be stored.
    ResultNotStored = "result_not_stored", 500, false, "The origin's response could not be stored";
    /// The stored request could not be read back, so nothing was sent to the origin.
    PayloadUnavailable = "payload_unavailable", 503, true, "The stored request could not be read";

    // Raincheck.
    /// The request came from this gateway.
    LoopDetected = "loop_detected", 508, false, "The request came from this gateway";
    /// The configuration is not valid.
    Misconfigured = "misconfigured", 503, false, "The gateway is not configured correctly";
    /// Records or bodies cannot be stored or read now.
    StorageUnavailable = "storage_unavailable", 503, true, "Storage is temporarily unavailable";
    /// The request's shard holds as many unfinished jobs as it can, or the isolate as many bytes of bodies.
    Overloaded = "overloaded", 503, true, "The gateway is at a limit";
    /// A bug in the gateway.
    InternalError = "internal_error", 500, false, "The gateway failed";
}

impl From<TargetError> for ProblemCode {
    fn from(error: TargetError) -> Self {
        match error {
            TargetError::TooLong => Self::TargetTooLong,
            TargetError::NotAPath | TargetError::Character => Self::BadRequest,
        }
    }
}

impl ProblemCode {
    /// The URI of the kind of problem, which is that of its page on this gateway. `base` is the mount with
    /// scheme and host, or the mount alone. The latter gives a relative reference, which clients resolve against
    /// the URL of their request (RFC 9457 section 3.1.1).
    #[must_use]
    pub fn type_uri(self, base: &str) -> String {
        format!("{base}/{PAGES}/{}", self.as_str())
    }

    /// The code with this spelling.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|known| known.as_str() == code)
    }
}

impl fmt::Display for ProblemCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One occurrence of a problem, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What kind.
    pub code: ProblemCode,
    /// A sentence about this occurrence, for the client's developer. Empty: the title is enough.
    pub detail: String,
    /// Seconds to wait before trying again, sent as `Retry-After`.
    pub retry_after: Option<u64>,
    /// The methods that the resource supports, sent as `Allow`; required for 405.
    pub allow: Option<&'static str>,
    /// The header field or configuration field that is at fault.
    pub field: Option<String>,
    /// Whether sending the same request again is safe and may help; by default that of the code.
    pub retryable: bool,
    /// More header fields for the response, such as the `Content-Range` of a 416.
    pub headers: Vec<(&'static str, String)>,
}

impl Problem {
    /// A problem without a detail.
    #[must_use]
    pub const fn new(code: ProblemCode) -> Self {
        Self {
            code,
            detail: String::new(),
            retry_after: None,
            allow: None,
            field: None,
            retryable: code.retryable(),
            headers: Vec::new(),
        }
    }

    /// Adds a sentence about this occurrence.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// Adds `Retry-After`, in seconds.
    #[must_use]
    pub const fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Adds the field that is at fault.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Overrides the code's [`retryable`](ProblemCode::retryable) for this occurrence.
    #[must_use]
    pub const fn retryable(mut self, retryable: bool) -> Self {
        self.retryable = retryable;
        self
    }

    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Adds `Vary: Prefer`, for a route whose rule looks at `Prefer` (RFC 9110 section 12.5.5).
    #[must_use]
    pub fn on_route(self) -> Self {
        self.header("vary", "Prefer")
    }

    /// Says that a response at a result URL is Raincheck's own, and not the origin's.
    #[must_use]
    pub fn at_result(self) -> Self {
        self.header(SOURCE, Source::Gateway.as_str())
    }

    /// 503 while records or bodies cannot be stored or read. Storage recovers within seconds, if at all.
    #[must_use]
    pub const fn storage_unavailable() -> Self {
        const RETRY_AFTER: u64 = 1;
        Self::new(ProblemCode::StorageUnavailable).retry_after(RETRY_AFTER)
    }

    /// 405 for a resource that supports only the methods in `allow`.
    #[must_use]
    pub const fn method_not_allowed(allow: &'static str) -> Self {
        let mut problem = Self::new(ProblemCode::MethodNotAllowed);
        problem.allow = Some(allow);
        problem
    }

    /// 416 for a result of `len` bytes.
    #[must_use]
    pub fn range_not_satisfiable(len: u64) -> Self {
        Self::new(ProblemCode::RangeNotSatisfiable).header(
            "content-range",
            crate::http::range::content_range_unsatisfied(len),
        )
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.code.status()
    }

    /// The message for people: the detail, else the title; never empty.
    #[must_use]
    pub fn message(&self) -> &str {
        if self.detail.is_empty() {
            self.code.title()
        } else {
            &self.detail
        }
    }

    /// The response's header fields.
    #[must_use]
    pub fn response_headers(&self) -> Headers {
        let mut headers = Headers::from_iter([
            ("content-type", CONTENT_TYPE),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            (REFERRER_POLICY, NO_REFERRER),
        ]);
        if let Some(seconds) = self.retry_after {
            headers.push("retry-after", seconds.to_string());
        }
        if let Some(allow) = self.allow {
            headers.push("allow", allow);
        }
        if self.code == ProblemCode::Unauthorized {
            headers.push("www-authenticate", "Bearer");
        }
        for (name, value) in &self.headers {
            headers.set(name, value);
        }
        headers
    }

    /// The response's body: JSON with members in a fixed order. `base` as in [`ProblemCode::type_uri`].
    #[must_use]
    pub fn body(&self, base: &str) -> String {
        let body = Body {
            r#type: self.code.type_uri(base),
            title: self.code.title(),
            status: self.code.status(),
            detail: self.message(),
            error: BodyError {
                code: self.code.as_str(),
                message: self.message(),
            },
            field: self.field.as_deref(),
            retryable: self.retryable,
        };
        // Strings, numbers and booleans always serialize; the fallback avoids a panic.
        serde_json::to_string(&body).unwrap_or_default()
    }
}

/// The members of the document, in order.
#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    error: BodyError<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    retryable: bool,
}

/// The error in the form that clients of long-running operations expect.
#[derive(Serialize)]
struct BodyError<'a> {
    code: &'static str,
    message: &'a str,
}
