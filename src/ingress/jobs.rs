//! Requests for job resources, below the mount.

use crate::http::Headers;
use crate::job::{JobId, Millis};
use crate::policy::Policy;
use crate::policy::limits::MAX_SHARDS;
use crate::protocol::prefer::Prefer;
use crate::protocol::problem::{Problem, ProblemCode};
use crate::protocol::route::{Endpoint, JobPath};
use crate::rpc::Reply;
use crate::rpc::call::{Call, RedriveCall, View, ViewCall};
use crate::rpc::hash::sha256_hex;

use super::browsers::preflight;
use super::head::{base, hold_span, preflight_method};
use super::pages::problem_page;
use super::{Action, Head};

pub(super) fn job_resource(
    policy: &Policy,
    head: &Head,
    path: JobPath<'_>,
    query: Option<&str>,
) -> Result<Action, Problem> {
    let is_result = matches!(
        path,
        JobPath::Job {
            endpoint: Endpoint::Result,
            ..
        }
    );
    decide(policy, head, path, query).map_err(|problem| {
        if is_result {
            problem.at_result()
        } else {
            problem
        }
    })
}

fn decide(
    policy: &Policy,
    head: &Head,
    path: JobPath<'_>,
    query: Option<&str>,
) -> Result<Action, Problem> {
    if preflight_method(policy, head).is_some()
        && let Some(headers) = preflight(policy, &head.headers)
    {
        return Ok(Action::Reply(Reply::new(204).headers(headers)));
    }
    if is_service_worker(&head.headers) {
        return Err(Problem::new(ProblemCode::ServiceWorkerRefused));
    }
    if is_subresource(&head.headers) {
        return Err(Problem::new(ProblemCode::SubresourceRefused));
    }
    let not_found = || Problem::new(ProblemCode::NotFound).detail("There is no such job.");
    let (text, endpoint) = match path {
        JobPath::Job { id, endpoint } => (id, endpoint),
        JobPath::Problems { code } => return problem_page(policy, head, code),
        JobPath::Unknown => return Err(not_found()),
    };
    if !endpoint.allows(&head.method) {
        return Err(Problem::method_not_allowed(endpoint.allowed_methods()));
    }
    if endpoint == Endpoint::Redrive {
        authorize_operator(policy, &head.headers)?;
    }
    // A forged id must not create a shard beyond the highest number that can be configured.
    let id = JobId::parse(text)
        .filter(|id| id.shard < MAX_SHARDS)
        .ok_or_else(not_found)?;
    let view = view_call(policy, head, text, endpoint, query);
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
            let wait = hold_span(policy, prefer.wait, Millis(0));
            let wait = (wait.0 > 0).then_some((id, wait));
            return Ok(Action::Ask {
                shard: id.shard,
                call: Box::new(Call::View(view)),
                wait,
            });
        }
    };
    Ok(Action::Ask {
        shard: id.shard,
        call: Box::new(call),
        wait: None,
    })
}

/// The call that reads what the request asks for, with the request's conditions.
fn view_call(
    policy: &Policy,
    head: &Head,
    id: &str,
    endpoint: Endpoint,
    query: Option<&str>,
) -> ViewCall {
    let field = |name| owned(&head.headers, name);
    ViewCall {
        id: id.to_owned(),
        base: base(policy, head),
        view: if endpoint == Endpoint::Result {
            View::Result
        } else {
            View::Status
        },
        head: head.method == "HEAD",
        if_match: field("if-match"),
        if_none_match: field("if-none-match"),
        if_modified_since: field("if-modified-since"),
        if_unmodified_since: field("if-unmodified-since"),
        // `Range` is defined for GET only (RFC 9110 section 14.2).
        range: field("range").filter(|_| head.method == "GET"),
        if_range: field("if-range"),
        held: None,
        include_attempts: has_parameter(query, "include", "attempts"),
    }
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

/// Whether a browser would run the response as a service worker (Service Workers section 4.4, Fetch
/// Metadata section 2.1). A stored script could then control every page of the gateway's web origin.
fn is_service_worker(headers: &Headers) -> bool {
    says(headers, "service-worker", "script") || says(headers, DESTINATION, "serviceworker")
}

/// Whether a page would run the response, or be styled by it. In a page of the gateway's own web origin, a stored
/// script would have its rights; in another one's, a result could be read through its effects.
fn is_subresource(headers: &Headers) -> bool {
    const REFUSED: [&str; 7] = [
        "audioworklet",
        "paintworklet",
        "script",
        "sharedworker",
        "style",
        "worker",
        "xslt",
    ];
    REFUSED.iter().any(|kind| says(headers, DESTINATION, kind))
}

/// What a browser wants the response for (Fetch Metadata section 2.1).
const DESTINATION: &str = "sec-fetch-dest";

fn says(headers: &Headers, name: &str, value: &str) -> bool {
    headers
        .get_all(name)
        .any(|found| found.trim().eq_ignore_ascii_case(value))
}

/// Redriving repeats a client's request at the origin, so it needs the operator's token, not only the id.
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
