//! One rule: which requests, and how they are treated.

use super::path::PathPattern;
use crate::http::media;
use crate::job::{Backoff, Millis, Plan, Priority};

/// Whether a matching request becomes a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defer {
    /// Every matching request.
    Always,
    /// Those that ask for it with `Prefer: respond-async` (RFC 7240 section 4.1).
    Preferred,
    /// None: the rule takes requests out of the rules that follow it.
    Never,
}

impl Defer {
    /// The name used in configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Preferred => "preferred",
            Self::Never => "never",
        }
    }
}

/// Whether requests carry an `Idempotency-Key` that makes a repeated request the same job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idempotency {
    /// A request without a key is refused.
    Required,
    /// A key is honoured when it comes.
    Optional,
    /// A key is only passed on to the origin.
    Off,
}

impl Idempotency {
    /// The name used in configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Optional => "optional",
            Self::Off => "off",
        }
    }
}

/// A request header that a rule asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderCondition {
    /// The field name, in lower case.
    pub name: String,
    /// The exact value, without surrounding white space. `None`: present with any value.
    pub value: Option<String>,
}

/// One rule of the configuration. All spans count from the job's acceptance unless said otherwise.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one switch of the configuration, independent of the others"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Unique; `[a-z0-9-]`, 1 to 64 characters. It shows in status documents.
    pub name: String,
    /// Exact method names, or the single entry `*` for every method but OPTIONS and TRACE.
    pub methods: Vec<String>,
    /// Compared with the request's canonical path ([`canonical_path`](super::canonical_path)).
    pub path: PathPattern,
    /// All of these must hold.
    pub headers: Vec<HeaderCondition>,
    /// Media types in lower case without parameters, `type/*` or `*/*`; the request's
    /// `Content-Type` must be one of them. Empty: any, or none.
    pub content_types: Vec<String>,
    /// The name of the origin that gets its requests; empty for the default one.
    pub origin: String,
    /// Whether a matching request becomes a job.
    pub defer: Defer,
    /// How long a request is held for its final response before the receipt is sent; zero: not.
    pub hold: Millis,
    /// The queue for jobs whose client chose none.
    pub priority: Priority,
    /// The client's `Priority` header (RFC 9218) chooses the queue.
    pub client_priority: bool,
    /// The client may ask for a shorter deadline.
    pub client_deadline: bool,
    /// The client may ask that the first attempt starts later.
    pub client_delay: bool,
    /// Most attempts, at least 1.
    pub attempts: u32,
    /// The waits between attempts.
    pub backoff: Backoff,
    /// Final statuses (400 to 599) that are retried, ascending. `None`: those that are safe to
    /// retry, see [`Plan::retry_statuses`].
    pub retry_statuses: Option<Vec<u16>>,
    /// Longest time for one attempt, response body included.
    pub attempt_timeout: Millis,
    /// When a job must have ended; at least `attempt_timeout`.
    pub deadline: Millis,
    /// When record and result are removed; at least `deadline`.
    pub retention: Millis,
    /// Whether requests carry an `Idempotency-Key`.
    pub idempotency: Idempotency,
    /// How long a key stands for its job; at most `retention`.
    pub idempotency_window: Millis,
    /// Largest request body, in bytes; at most the policy's own limit.
    pub body_limit: u64,
    /// The origin treats requests with the same `Idempotency-Key` as one, so that any of them may
    /// be sent again.
    pub origin_honours_key: bool,
}

/// Methods that RFC 9110 section 9.2.2 defines as idempotent, and that a request can be made with.
const IDEMPOTENT_METHODS: [&str; 5] = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"];

impl Rule {
    /// What a job of this rule keeps of it.
    #[must_use]
    pub fn plan(&self, method: &str) -> Plan {
        Plan {
            attempts: self.attempts,
            backoff: self.backoff,
            retry_statuses: self.retry_statuses.clone(),
            attempt_timeout: self.attempt_timeout,
            repeatable: self.origin_honours_key || IDEMPOTENT_METHODS.contains(&method),
        }
    }

    /// Whether a request matches. The cheap tests come first; `header` is asked last.
    pub(super) fn matches(
        &self,
        method: &str,
        canonical: &str,
        header: &mut dyn FnMut(&str) -> Option<String>,
    ) -> bool {
        self.takes(method, canonical)
            && (self.content_types.is_empty()
                || header("content-type").is_some_and(|value| self.takes_content_type(&value)))
            && self.headers.iter().all(|condition| {
                header(&condition.name).is_some_and(|value| match &condition.value {
                    None => true,
                    Some(expected) => value.trim_matches([' ', '\t']) == expected,
                })
            })
    }

    /// Whether a request matches, as far as method and path go.
    pub(super) fn takes(&self, method: &str, canonical: &str) -> bool {
        self.takes_method(method) && self.path.matches(canonical)
    }

    fn takes_method(&self, method: &str) -> bool {
        self.methods.iter().any(|own| match own.as_str() {
            // OPTIONS must be named: a preflight that becomes a job would break every browser.
            // TRACE cannot be named, so it is not meant either.
            "*" => !matches!(method, "OPTIONS" | "TRACE"),
            own => own == method,
        })
    }

    fn takes_content_type(&self, value: &str) -> bool {
        let Some((kind, subtype)) = media::essence(value).split_once('/') else {
            return false;
        };
        self.content_types.iter().any(|own| {
            own.split_once('/').is_some_and(|(own_kind, own_subtype)| {
                (own_kind == "*" || own_kind.eq_ignore_ascii_case(kind))
                    && (own_subtype == "*" || own_subtype.eq_ignore_ascii_case(subtype))
            })
        })
    }
}
