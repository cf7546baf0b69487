//! The configuration: checked once, then consulted for every request.
//!
//! In scope: parsing the tables into checked types, reporting errors, deciding which rule a request
//! matches, and checking the file that deploys it (wrangler.toml). Out of scope: where the tables come
//! from, and acting on the decision.
//!
//! 1. Unknown fields, wrong types and impossible values are rejected. Each error names the field, what
//!    was found and what is allowed, and all errors are reported at once.
//! 2. The first rule that matches wins. A request that no rule matches, or a rule with
//!    `defer = "never"`, is passed through.
//! 3. Rules are not access control: they match canonical paths ([`canonical_path`]), and an origin may
//!    read unusual spellings differently.
//!
//! Every field is documented for users in `docs/configuration.md`.

pub mod bindings;
pub mod deployment;
mod error;
mod fields;
pub mod limits;
mod loops;
mod names;
mod origin;
pub mod owner;
mod parse;
mod path;
mod place;
mod rule;
mod suggest;
mod units;

pub use error::{ConfigError, ConfigErrors};
pub use loops::{is_loopback, is_same_place};
pub use names::FIELDS;
pub use origin::{Origin, OriginAt, OriginHeader, Template};
pub use owner::is_credential;
pub use path::{PathPattern, canonical_path};
pub use place::{Key, Place};
pub use rule::{Defer, HeaderCondition, Idempotency, Rule};
pub use units::{duration_text, parse_duration, parse_size, size_text};

pub use crate::http::forwarded::Forwarding;
use std::collections::BTreeMap;

use crate::job::Millis;

/// A variable of the Worker that holds configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    /// [`bindings::CONFIGURATION`], or a name that begins with [`bindings::MORE_CONFIGURATION`].
    pub name: String,
    /// Its value, as the Worker gets it from wrangler.
    pub value: serde_json::Value,
}

/// A checked configuration. See `docs/configuration.md` for defaults and limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The default origin, for requests whose rule names no other.
    pub origin: Origin,
    /// The origins that rules name.
    pub origins: BTreeMap<String, Origin>,
    /// The path under which jobs live, such as `/jobs`; without a trailing slash, never `/`.
    pub mount: String,
    /// `scheme://host[:port]` at which clients reach this gateway, without a trailing slash. `None`: it is
    /// taken from each request.
    pub public_origin: Option<String>,
    /// How many shards take new jobs, 1 to 1024.
    pub shards: u16,
    /// How many there were before the last change, as long as keys of that time may be valid.
    pub previous_shards: Option<u16>,
    /// The request headers that tell callers apart beside `authorization` and `cookie`; lower case, in
    /// order, each once. `None`: those whose name says so, see [`is_credential`].
    pub owner_headers: Option<Vec<String>>,
    /// `X-Forwarded-Proto` and `X-Forwarded-Host` may name the public origin.
    pub trusted_forwarded_host: bool,
    /// Which forwarding headers the origin gets.
    pub forwarding: Forwarding,
    /// Origins that browsers may call from: serialized origins, or the single entry `*`.
    pub cors_origins: Vec<String>,
    /// Request fields that pages may always send, in addition to the usual ones; lower case, in order, each once.
    pub cors_headers: Vec<String>,
    /// Response fields that pages may read beside the usual ones; lower case, in order, each once.
    pub cors_expose: Vec<String>,
    /// SHA-256 of the operator's token, 64 lower-case hex digits. `None`: no operator requests.
    pub operator_token_sha256: Option<String>,
    /// Largest request body of any rule, in bytes.
    pub body_limit: u64,
    /// Largest stored result, in bytes.
    pub result_limit: u64,
    /// Longest time that a request is held, whatever it or its rule asks for.
    pub wait_limit: Millis,
    /// How long a queued job waits for a consumer before its message counts as late.
    pub claim_patience: Millis,
    /// How long a silent consumer keeps its lease.
    pub lease: Millis,
    /// How long an expired job responds with 410 before it is forgotten.
    pub tombstone: Millis,
    /// The rules, in order.
    pub rules: Vec<Rule>,
}

impl Policy {
    /// Reads and checks the configuration. Fails with all of its errors.
    pub fn read(variables: Vec<Variable>) -> Result<Self, ConfigErrors> {
        parse::policy(variables)
    }

    /// An origin by name; the empty name is the default one. `None`: a job's origin is no longer
    /// configured.
    #[must_use]
    pub fn origin(&self, name: &str) -> Option<&Origin> {
        if name.is_empty() {
            return Some(&self.origin);
        }
        self.origins.get(name)
    }

    /// The first rule that a request matches, even if it never defers.
    ///
    /// `path` is the path of the request target as it came. `header` takes a field name in lower case and
    /// returns the combined value (RFC 9110 section 5.3). It is called only if a rule has conditions on
    /// headers and everything else matches.
    pub fn decide(
        &self,
        method: &str,
        path: &str,
        header: &mut dyn FnMut(&str) -> Option<String>,
    ) -> Option<&Rule> {
        let canonical = canonical_path(path)?;
        self.rules
            .iter()
            .find(|rule| rule.matches(method, &canonical, header))
    }

    /// Whether a request with this method and path may become a job, with any header fields: those of the
    /// request that a CORS preflight announces are not known yet.
    #[must_use]
    pub fn may_defer(&self, method: &str, path: &str) -> bool {
        canonical_path(path).is_some_and(|canonical| {
            let mut rules = self.rules.iter();
            rules.any(|rule| rule.defer != Defer::Never && rule.takes(method, &canonical))
        })
    }
}
