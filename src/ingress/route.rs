//! Which way a request goes: a resource of a job, a new job, or straight through.

use crate::http::target::Target;
use crate::job::UnixMillis;
use crate::policy::{Defer, Policy, Rule, canonical_path};
use crate::protocol::cors;
use crate::protocol::forwarding::{edits_to_origin, is_loop};
use crate::protocol::prefer::Prefer;
use crate::protocol::problem::{Problem, ProblemCode};
use crate::protocol::route;
use crate::rpc::Reply;

use super::head::{NO_CODING, forwarding, is_websocket, preflight_method};
use super::jobs::job_resource;
use super::placement::Isolate;
use super::{Action, FIELDS_MAX, Head, PassThrough, plan};

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
    if head.headers.len() > FIELDS_MAX {
        return Err(Problem::new(ProblemCode::HeadersTooLarge).detail(format!(
            "The request has {} header fields; it may have {FIELDS_MAX}.",
            head.headers.len()
        )));
    }
    let target = Target::parse(&head.target)
        .map_err(|error| Problem::new(error.into()).detail(error.to_string()))?;
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
    // Rules see a path in its canonical form. So does the mount: a spelling that they would take for a path
    // below it must not reach the origin.
    if let Some(path) = canonical_path(target.path())
        && let Some(path) = route::parse(&policy.mount, &path)
    {
        return job_resource(policy, &head, path, target.query());
    }
    if let Some(method) = preflight_method(policy, &head) {
        let allowed = cors::preflight(&policy.cors_origins, &head.headers)
            .filter(|_| policy.may_defer(method, target.path()));
        // Other pages may do what the origin lets them.
        return Ok(match allowed {
            Some(headers) => Action::Reply(Reply::new(204).headers(headers)),
            None => {
                let origin = origin_of_preflight(policy, &head, &target);
                pass_through(policy, &head, target, origin, false)
            }
        });
    }
    let Some(rule) = rule_of(policy, &head, &head.method, &target) else {
        let origin = origin_of_preflight(policy, &head, &target);
        return Ok(pass_through(policy, &head, target, origin, false));
    };
    if rule.defer == Defer::Never {
        return Ok(pass_through(policy, &head, target, &rule.origin, false));
    }
    let prefer = Prefer::parse(head.headers.get_all("prefer"));
    let defers = rule.defer == Defer::Always || prefer.respond_async;
    if !defers || is_websocket(&head) {
        return Ok(pass_through(policy, &head, target, &rule.origin, true));
    }
    let plan =
        plan::plan(policy, rule, head, &target, prefer, now, isolate).map_err(Problem::on_route)?;
    Ok(Action::Accept(Box::new(plan)))
}

/// The rule of a request with this head, but perhaps another method.
fn rule_of<'a>(policy: &'a Policy, head: &Head, method: &str, target: &Target) -> Option<&'a Rule> {
    let mut field = |name: &str| head.headers.joined(name).map(std::borrow::Cow::into_owned);
    policy.decide(method, target.path(), &mut field)
}

/// A preflight goes to the origin of the request that it asks about. What is no preflight and has no rule goes
/// to the default origin.
fn origin_of_preflight<'a>(policy: &'a Policy, head: &Head, target: &Target) -> &'a str {
    let asked = head.headers.get("access-control-request-method");
    let asked = asked.filter(|_| head.method == "OPTIONS");
    let rule = asked.and_then(|method| rule_of(policy, head, method, target));
    rule.map_or("", |rule| rule.origin.as_str())
}

fn pass_through(
    policy: &Policy,
    head: &Head,
    target: Target,
    origin: &str,
    varies: bool,
) -> Action {
    let websocket = is_websocket(head);
    let mut edits = edits_to_origin(&head.headers, &forwarding(policy, head, websocket));
    // `Host` follows from the URL.
    edits.keep("host");
    if edits.left(&head.headers, "accept-encoding").is_none() {
        edits.set("accept-encoding", NO_CODING);
    }
    Action::PassThrough(PassThrough {
        origin: origin.to_owned(),
        target,
        edits,
        varies,
        websocket,
    })
}
