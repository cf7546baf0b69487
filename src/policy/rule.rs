//! A rule: which requests it matches, and how they are treated.

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
    /// None: the rule exempts requests from the rules after it.
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

/// Whether an `Idempotency-Key` makes a repeated request the same job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idempotency {
    /// A request without a key is rejected.
    Required,
    /// A key is honoured if the request has one.
    Optional,
    /// A key is only forwarded to the origin.
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

/// A condition on a request header.
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
    /// Unique; `[a-z0-9-]`, 1 to 64 characters. Status documents show it.
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
    /// How long a request is held for its final response before the receipt is sent; zero: it is not held.
    pub hold: Millis,
    /// The queue, unless the client chooses.
    pub priority: Priority,
    /// The client's `Priority` header (RFC 9218) chooses the queue.
    pub client_priority: bool,
    /// The client may ask for a shorter deadline.
    pub client_deadline: bool,
    /// The client may ask for a later first attempt.
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
    /// How long a key identifies its job; at most `retention`.
    pub idempotency_window: Millis,
    /// Largest request body, in bytes; at most the policy's own limit.
    pub body_limit: u64,
    /// The origin treats requests with the same `Idempotency-Key` as one, so they may be sent again.
    pub origin_honours_key: bool,
}

/// The idempotent methods (RFC 9110 section 9.2.2) that a Worker can send.
const IDEMPOTENT_METHODS: [&str; 5] = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"];

impl Rule {
    /// The plan of a job of this rule.
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

    /// Whether a request matches. Cheap tests come first; `header` is called last.
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

    /// Whether this rule matches every request that `other` matches, as far as can be told: each of its
    /// conditions is absent, or `other` has the same. A condition that is missing here makes `npm run check`
    /// reject good rules.
    pub(super) fn covers(&self, other: &Self) -> bool {
        other.methods.iter().all(|method| self.takes_method(method))
            && self.path.covers(&other.path)
            && (self.content_types.is_empty() || self.content_types == other.content_types)
            && self
                .headers
                .iter()
                .all(|condition| other.headers.contains(condition))
    }

    /// Whether method and path match.
    pub(super) fn takes(&self, method: &str, canonical: &str) -> bool {
        self.takes_method(method) && self.path.matches(canonical)
    }

    fn takes_method(&self, method: &str) -> bool {
        self.methods.iter().any(|own| match own.as_str() {
            // Not OPTIONS: a preflight that became a job would break every browser. Not TRACE: it
            // cannot be deferred.
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
