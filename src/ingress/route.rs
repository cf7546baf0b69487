//! The first stage: routes a request by its head alone.

use std::borrow::Cow;

use crate::http::Headers;
use crate::http::target::Target;
use crate::policy::{Defer, Policy, Rule, canonical_path};
use crate::protocol::forwarding::is_loop;
use crate::protocol::prefer::Prefer;
use crate::protocol::problem::{Problem, ProblemCode};
use crate::protocol::route;

use super::browsers::preflight;
use super::head::{is_websocket, preflight_method};
use super::{FIELDS_MAX, Head};

/// Where a request goes.
pub(super) enum Route<'p, 't> {
    /// To Raincheck's own resource at this path (in canonical form, below the mount).
    Own(Cow<'t, str>),
    /// A preflight that Raincheck itself responds to, with these fields.
    Preflight(Headers),
    /// Through to an origin.
    Origin {
        /// The origin's name; empty for the default one.
        origin: &'p str,
        /// A rule looks at `Prefer`, so the response varies with it.
        varies: bool,
    },
    /// To a new job of this rule.
    Defer(&'p Rule, Prefer),
}

/// Checks limits, target and loops, and returns the parsed target.
pub(super) fn checked(policy: &Policy, head: &Head) -> Result<Target, Problem> {
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
    Ok(target)
}

/// Routes a request.
pub(super) fn route<'p, 't>(policy: &'p Policy, head: &Head, target: &'t Target) -> Route<'p, 't> {
    // Mount and rules are matched against the canonical path. Another spelling of a path below the mount must
    // not reach the origin.
    if let Some(path) = canonical_path(target.path())
        && route::parse(&policy.mount, &path).is_some()
    {
        return Route::Own(path);
    }
    if let Some(method) = preflight_method(policy, head) {
        let allowed =
            preflight(policy, &head.headers).filter(|_| policy.may_defer(method, target.path()));
        return match allowed {
            Some(headers) => Route::Preflight(headers),
            // For any other web origin, the API decides.
            None => Route::Origin {
                origin: origin_without_rule(policy, head, target),
                varies: false,
            },
        };
    }
    let Some(rule) = rule_of(policy, head, &head.method, target) else {
        return Route::Origin {
            origin: origin_without_rule(policy, head, target),
            varies: false,
        };
    };
    let to_origin = |varies| Route::Origin {
        origin: &rule.origin,
        varies,
    };
    if rule.defer == Defer::Never {
        return to_origin(false);
    }
    let prefer = Prefer::parse(head.headers.get_all("prefer"));
    let defers = rule.defer == Defer::Always || prefer.respond_async;
    if defers && !is_websocket(head) {
        Route::Defer(rule, prefer)
    } else {
        to_origin(true)
    }
}

/// The rule for this head, with `method` in place of its own.
fn rule_of<'p>(policy: &'p Policy, head: &Head, method: &str, target: &Target) -> Option<&'p Rule> {
    let mut field = |name: &str| head.headers.joined(name).map(Cow::into_owned);
    policy.decide(method, target.path(), &mut field)
}

/// A preflight goes to the origin of the request that it announces. Any other request without a rule goes to
/// the default origin.
fn origin_without_rule<'p>(policy: &'p Policy, head: &Head, target: &Target) -> &'p str {
    let asked = head.headers.get("access-control-request-method");
    let asked = asked.filter(|_| head.method == "OPTIONS");
    let rule = asked.and_then(|method| rule_of(policy, head, method, target));
    rule.map_or("", |rule| rule.origin.as_str())
}
