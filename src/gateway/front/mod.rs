//! The front door: what to do with a request, decided from its head alone.

mod accept;
mod placement;

use crate::job::{JobId, Millis, UnixMillis};
use crate::policy::limits::MAX_SHARDS;
use crate::policy::{ConfigError, Defer, Forwarding, Policy};
use crate::protocol::Headers;
use crate::protocol::cors;
use crate::protocol::forwarding::{
    Edits, ForwardedStyle, ForwardingInfo, edits_to_origin, is_loop,
};
use crate::protocol::prefer::Prefer;
use crate::protocol::problem::{Problem, ProblemCode};
use crate::protocol::route::{self, Endpoint, JobPath};
use crate::protocol::target::Target;

use super::call::{AcceptCall, Call, RedriveCall, View, ViewCall};
use super::hash::sha256_hex;
use super::reply::Reply;

pub use accept::too_large;
pub use placement::Isolate;

/// Most bytes of header fields that a job keeps. Origins commonly take 8 to 64 KB; the row that
/// keeps them has room for 2 MB with the payload.
pub const HEADERS_MAX: usize = 32 * 1024;

/// Largest body that is kept in the record's row instead of the bucket. A row may have 2 MB; up to
/// here one row costs less than an R2 write ($1.00 against $4.50 per million), and a full gathering
/// window of such bodies is a small part of an isolate's 128 MB.
pub const INLINE_MAX: u64 = 64 * 1024;

/// The head of a client's request.
#[derive(Clone, Debug)]
pub struct Head {
    /// The method as it was sent.
    pub method: String,
    /// `http` or `https`.
    pub scheme: String,
    /// Host and port that the client named.
    pub host: String,
    /// Path and query as they were sent.
    pub target: String,
    /// The header fields.
    pub headers: Headers,
    /// Whether a body follows.
    pub has_body: bool,
}

/// What to do.
#[derive(Debug)]
pub enum Action {
    /// Answer at once.
    Reply(Reply),
    /// Send it to the origin and its response back, both as streams.
    PassThrough(PassThrough),
    /// Ask a shard, and hand its answer on.
    Ask {
        /// The shard.
        shard: u16,
        /// The question.
        call: Call,
        /// Wait this long for the job to end before asking.
        wait: Option<(JobId, Millis)>,
    },
    /// Start a failed job again.
    Redrive {
        /// The job.
        id: JobId,
        /// The question.
        call: Box<RedriveCall>,
    },
    /// Make it a job.
    Accept(Box<AcceptPlan>),
}

/// A request on its way to the origin.
#[derive(Debug)]
pub struct PassThrough {
    /// The target.
    pub target: Target,
    /// What changes in the header fields.
    pub edits: Edits,
    /// The response varies with `Prefer`, because a rule looks at it.
    pub varies: bool,
    /// It is a WebSocket handshake.
    pub websocket: bool,
}

/// What the head says about the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// There is none.
    Nothing,
    /// This many bytes.
    Length(u64),
    /// As many as come.
    Unknown,
}

/// A request that becomes a job.
#[derive(Debug)]
pub struct AcceptPlan {
    /// The shard that takes it.
    pub shard: u16,
    /// The shard that would have, before the number of shards changed.
    pub previous: Option<u16>,
    /// The call; its payload is still to be set.
    pub call: AcceptCall,
    /// What is known about the body.
    pub body: Announced,
    /// Largest body that the rule takes.
    pub limit: u64,
    /// Hold the request this long for its result.
    pub hold: Millis,
    /// The client asked for that (RFC 7240 section 4.3), not the rule.
    pub hold_preferred: bool,
}

/// Decides what to do with a request that `isolate` got.
#[must_use]
pub fn decide(policy: &Policy, head: Head, now: UnixMillis, isolate: Isolate) -> Action {
    match try_decide(policy, head, now, isolate) {
        Ok(action) => action,
        Err(problem) => Action::Reply(problem.into()),
    }
}

fn try_decide(
    policy: &Policy,
    head: Head,
    now: UnixMillis,
    isolate: Isolate,
) -> Result<Action, Problem> {
    if policy.leads_back_to(&head.host) {
        return Err(misconfigured(&ConfigError {
            field: "origin".to_owned(),
            found: format!("{}, which is this gateway", head.host),
            allowed: "the address of the API behind".to_owned(),
        }));
    }
    let target = Target::parse(&head.target)
        .map_err(|error| Problem::new(error.code()).detail(error.to_string()))?;
    if is_loop(&head.headers) {
        let problem = Problem::new(ProblemCode::LoopDetected).detail(
            "The request's Via names this gateway: the configured origin leads back to it.",
        );
        return Err(if policy.may_defer(&head.method, target.path()) {
            problem.on_route()
        } else {
            problem
        });
    }
    if let Some(path) = route::parse(&policy.mount, target.path()) {
        return job_resource(policy, &head, path, target.query());
    }
    if let Some(method) = preflight_method(policy, &head) {
        let allowed = cors::preflight(&policy.cors_origins, &head.headers)
            .filter(|_| policy.may_defer(method, target.path()));
        // Other pages may do what the origin lets them.
        return Ok(match allowed {
            Some(headers) => Action::Reply(Reply::new(204).headers(headers)),
            None => pass_through(policy, &head, target, false),
        });
    }
    let mut field = |name: &str| head.headers.joined(name).map(std::borrow::Cow::into_owned);
    let rule = policy
        .decide(&head.method, target.path(), &mut field)
        .filter(|rule| rule.defer != Defer::Never);
    let Some(rule) = rule else {
        return Ok(pass_through(policy, &head, target, false));
    };
    let prefer = Prefer::parse(head.headers.get_all("prefer"));
    let defers = rule.defer == Defer::Always || prefer.respond_async;
    if !defers || is_websocket(&head) {
        return Ok(pass_through(policy, &head, target, true));
    }
    let plan = accept::plan(policy, rule, head, &target, prefer, now, isolate)
        .map_err(Problem::on_route)?;
    Ok(Action::Accept(Box::new(plan)))
}

/// The problem of a configuration that cannot be used.
#[must_use]
pub fn misconfigured(error: &ConfigError) -> Problem {
    Problem::new(ProblemCode::Misconfigured)
        .detail(error.to_string())
        .field(error.field.clone())
}

/// The method that a CORS preflight asks about, where CORS is configured.
fn preflight_method<'a>(policy: &Policy, head: &'a Head) -> Option<&'a str> {
    if head.method != "OPTIONS"
        || policy.cors_origins.is_empty()
        || !head.headers.contains("origin")
    {
        return None;
    }
    head.headers.get("access-control-request-method")
}

fn job_resource(
    policy: &Policy,
    head: &Head,
    path: JobPath<'_>,
    query: Option<&str>,
) -> Result<Action, Problem> {
    if preflight_method(policy, head).is_some()
        && let Some(headers) = cors::preflight(&policy.cors_origins, &head.headers)
    {
        return Ok(Action::Reply(Reply::new(204).headers(headers)));
    }
    let not_found = || Problem::new(ProblemCode::NotFound).detail("There is no such job.");
    let JobPath::Job { id: text, endpoint } = path else {
        return Err(not_found());
    };
    if !endpoint.allows(&head.method) {
        return Err(Problem::method_not_allowed(endpoint.allowed_methods()));
    }
    if endpoint == Endpoint::Redrive {
        authorize_operator(policy, &head.headers)?;
    }
    // A forged id must not bring a shard into being that no configuration can have.
    let id = JobId::parse(text)
        .filter(|id| id.shard < MAX_SHARDS)
        .ok_or_else(not_found)?;
    let view = ViewCall {
        id: text.to_owned(),
        base: base(policy, head),
        view: if endpoint == Endpoint::Result {
            View::Result
        } else {
            View::Status
        },
        head: head.method == "HEAD",
        if_match: owned(&head.headers, "if-match"),
        if_none_match: owned(&head.headers, "if-none-match"),
        // It means something with GET only (RFC 9110 section 14.2).
        range: owned(&head.headers, "range").filter(|_| head.method == "GET"),
        if_range: owned(&head.headers, "if-range"),
        held: false,
        include_attempts: has_parameter(query, "include", "attempts"),
    };
    let purge = has_parameter(query, "purge", "true");
    let call = match (endpoint, head.method.as_str()) {
        (Endpoint::Redrive, _) => {
            let call = Box::new(RedriveCall { view, object: None });
            return Ok(Action::Redrive { id, call });
        }
        (Endpoint::Events, _) => return Err(not_found()),
        (Endpoint::Cancel, _) => Call::Cancel(view),
        (_, "DELETE") if purge => Call::Purge(view),
        (_, "DELETE") => Call::Cancel(view),
        _ => {
            let prefer = Prefer::parse(head.headers.get_all("prefer"));
            let wait = held(policy, prefer.wait, Millis(0));
            let wait = (wait.0 > 0).then_some((id, wait));
            return Ok(Action::Ask {
                shard: id.shard,
                call: Call::View(view),
                wait,
            });
        }
    };
    Ok(Action::Ask {
        shard: id.shard,
        call,
        wait: None,
    })
}

fn owned(headers: &Headers, name: &str) -> Option<String> {
    headers.joined(name).map(std::borrow::Cow::into_owned)
}

fn has_parameter(query: Option<&str>, name: &str, value: &str) -> bool {
    query
        .unwrap_or_default()
        .split('&')
        .any(|pair| pair.split_once('=') == Some((name, value)))
}

/// Redriving repeats somebody's request at the origin: it takes more than holding the id.
fn authorize_operator(policy: &Policy, headers: &Headers) -> Result<(), Problem> {
    use subtle::ConstantTimeEq as _;
    let Some(expected) = &policy.operator_token_sha256 else {
        return Err(Problem::new(ProblemCode::Forbidden)
            .detail("No job can be started again: operator_token_sha256 is not configured.")
            .field("operator_token_sha256"));
    };
    let token = headers
        .get("authorization")
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    let given = token
        .map(|token| sha256_hex(token.as_bytes()))
        .unwrap_or_default();
    if given.as_bytes().ct_eq(expected.as_bytes()).into() {
        Ok(())
    } else {
        Err(Problem::new(ProblemCode::Unauthorized)
            .detail("Starting a job again needs the operator's token as a Bearer credential."))
    }
}

fn pass_through(policy: &Policy, head: &Head, target: Target, varies: bool) -> Action {
    let websocket = is_websocket(head);
    let mut edits = edits_to_origin(&head.headers, &forwarding(policy, head, websocket));
    // `Host` follows from the URL.
    edits.removed.retain(|name| name != "host");
    if edits.left(&head.headers, "accept-encoding").is_none() {
        edits.set("accept-encoding", NO_CODING);
    }
    Action::PassThrough(PassThrough {
        target,
        edits,
        varies,
        websocket,
    })
}

/// A client that names no content coding gets none (RFC 9110 section 12.5.3). The runtime would name
/// its own, and an origin would answer in a coding that the client cannot read.
const NO_CODING: &str = "identity";

/// A WebSocket is opened by GET (RFC 6455 section 4.1), and cannot be answered later.
fn is_websocket(head: &Head) -> bool {
    head.method == "GET"
        && head
            .headers
            .get("upgrade")
            .is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
}

fn forwarding<'a>(policy: &Policy, head: &'a Head, websocket: bool) -> ForwardingInfo<'a> {
    ForwardingInfo {
        style: match policy.forwarding {
            Forwarding::None => ForwardedStyle::None,
            Forwarding::XForwarded => ForwardedStyle::XForwarded,
            Forwarding::Forwarded => ForwardedStyle::Forwarded,
            Forwarding::Both => ForwardedStyle::Both,
        },
        trust_incoming: policy.trusted_forwarded_host,
        client_ip: head.headers.get("cf-connecting-ip"),
        scheme: &head.scheme,
        host: &head.host,
        websocket,
        job: None,
    }
}

/// Scheme, host and mount as clients reach them. A forwarded header counts only where the
/// configuration trusts it.
fn base(policy: &Policy, head: &Head) -> String {
    if let Some(origin) = &policy.public_origin {
        return format!("{origin}{}", policy.mount);
    }
    let trusted = |name: &str| {
        let value = head
            .headers
            .get(name)
            .filter(|_| policy.trusted_forwarded_host)?;
        value
            .split(',')
            .next()
            .map(str::trim)
            .filter(|value| is_authority(value))
    };
    let scheme = trusted("x-forwarded-proto").filter(|scheme| matches!(*scheme, "http" | "https"));
    let host = trusted("x-forwarded-host");
    let (scheme, host) = (scheme.unwrap_or(&head.scheme), host.unwrap_or(&head.host));
    format!("{scheme}://{host}{}", policy.mount)
}

fn is_authority(value: &str) -> bool {
    !value.is_empty()
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
}

/// How long to hold a request: what the client prefers, else the rule, within the limit.
fn held(policy: &Policy, preferred: Option<u32>, of_rule: Millis) -> Millis {
    preferred
        .map_or(of_rule, |secs| Millis::from_secs(u64::from(secs)))
        .min(policy.wait_limit)
}
