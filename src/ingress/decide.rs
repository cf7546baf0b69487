//! Runs the deciding stages in order. They are pure: no I/O, no waiting.

use crate::http::target::Target;
use crate::http::twin::twins;
use crate::job::UnixMillis;
use crate::policy::Policy;
use crate::protocol::forwarding::edits_to_origin;
use crate::protocol::problem::Problem;
use crate::protocol::route::{self, JobPath};
use crate::rpc::Reply;

use super::head::{NO_CODING, forwarding, is_websocket};
use super::jobs::job_resource;
use super::placement::Isolate;
use super::route::{Route, checked, route};
use super::{Action, Head, PassThrough, plan};

/// The methods that are passed on everywhere; an origin may know more.
const USUAL_METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Decides what to do with a request that `isolate` received.
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
    let target = checked(policy, &head)?;
    // Authentication and quotas would go between routing and planning: the route is known, and nothing is
    // planned yet.
    match route(policy, &head, &target) {
        Route::Preflight(_) | Route::Origin { .. } | Route::Defer(..) if echoes(&head.method) => {
            Err(Problem::method_not_allowed(USUAL_METHODS))
        }
        Route::Own(path) => {
            let path = route::parse(&policy.mount, &path).unwrap_or(JobPath::Unknown);
            job_resource(policy, &head, path, target.query())
        }
        Route::Preflight(headers) => Ok(Action::Reply(Reply::new(204).headers(headers))),
        Route::Origin { origin, varies } => Ok(pass_through(policy, &head, target, origin, varies)),
        Route::Defer(rule, prefer) => {
            let plan = plan::plan(policy, rule, head, &target, prefer, now, isolate);
            Ok(Action::Accept(Box::new(plan.map_err(Problem::on_route)?)))
        }
    }
}

/// Whether the method asks for the request's own fields in the response (RFC 9110 section 9.3.8; TRACK is
/// Microsoft's). The client would see the secrets that the gateway adds for the origin.
fn echoes(method: &str) -> bool {
    method.eq_ignore_ascii_case("TRACE") || method.eq_ignore_ascii_case("TRACK")
}

fn pass_through(
    policy: &Policy,
    head: &Head,
    target: Target,
    origin: &str,
    varies: bool,
) -> Action {
    let info = forwarding(policy, head, is_websocket(head));
    let mut edits = edits_to_origin(&head.headers, &info);
    // `Host` follows from the URL.
    edits.keep("host");
    if edits.left(&head.headers, "accept-encoding").is_none() {
        edits.set("accept-encoding", NO_CODING);
    }
    if let Some(origin) = policy.origin(origin) {
        let names: Vec<&str> = origin.header_names().collect();
        edits.remove(twins(&head.headers, &names));
    }
    Action::PassThrough(PassThrough {
        origin: origin.to_owned(),
        target,
        edits,
        varies,
    })
}
