//! What a request's head says about the client and about the path the request took.

use crate::http::Headers;
use crate::job::Millis;
use crate::policy::{Policy, canonical_path};
use crate::protocol::forwarding::ForwardingInfo;
use crate::protocol::route;

use super::Head;

/// The method that a CORS preflight asks for, if CORS is configured.
pub(super) fn preflight_method<'a>(policy: &Policy, head: &'a Head) -> Option<&'a str> {
    if head.method != "OPTIONS"
        || policy.cors_origins.is_empty()
        || !head.headers.contains("origin")
    {
        return None;
    }
    head.headers.get("access-control-request-method")
}

/// `Accept-Encoding` for a client that sent none (RFC 9110 section 12.5.3). The runtime would add its
/// own, and the origin could then respond in a coding that the client cannot decode.
pub(super) const NO_CODING: &str = "identity";

/// Whether this is a WebSocket handshake: a GET (RFC 6455 section 4.1), which cannot be deferred.
pub(super) fn is_websocket(head: &Head) -> bool {
    head.method == "GET"
        && head
            .headers
            .get("upgrade")
            .is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
}

pub(super) fn forwarding<'a>(
    policy: &Policy,
    head: &'a Head,
    websocket: bool,
) -> ForwardingInfo<'a> {
    ForwardingInfo {
        style: policy.forwarding,
        trust_incoming: policy.trusted_forwarded_host,
        client_ip: head.headers.get("cf-connecting-ip"),
        scheme: &head.scheme,
        host: &head.host,
        websocket,
        hides_referer: names_a_job(policy, &head.headers),
    }
}

/// Whether `Referer` is a URL below the mount, of whatever host: a proxy may have changed it.
fn names_a_job(policy: &Policy, headers: &Headers) -> bool {
    headers.get_all("referer").any(|url| {
        canonical_path(path_of(url))
            .is_some_and(|path| route::parse(&policy.mount, &path).is_some())
    })
}

/// The part of a URL after its host, or all of a path.
fn path_of(url: &str) -> &str {
    const SLASHES: [char; 2] = ['/', '\\'];
    let after_scheme = url
        .split_once(':')
        .filter(|(scheme, _)| !scheme.contains(SLASHES));
    let rest = after_scheme.map_or(url, |(_, rest)| rest);
    let mut rest_of_slashes = rest.chars();
    let has_host = rest_of_slashes
        .next()
        .is_some_and(|first| SLASHES.contains(&first))
        && rest_of_slashes
            .next()
            .is_some_and(|second| SLASHES.contains(&second));
    if !has_host {
        return rest;
    }
    let host = rest_of_slashes.as_str();
    host.find(SLASHES)
        .and_then(|at| host.get(at..))
        .unwrap_or_default()
}

/// Scheme, host and mount as clients see them. Forwarded headers count only if the configuration
/// trusts them.
pub(super) fn base(policy: &Policy, head: &Head) -> String {
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

/// How long to hold a request: the client's preference, else the rule's, up to the limit.
pub(super) fn hold_span(policy: &Policy, preferred: Option<u32>, of_rule: Millis) -> Millis {
    preferred
        .map_or(of_rule, |secs| Millis::from_secs(u64::from(secs)))
        .min(policy.wait_limit)
}
