//! Whether the origin is this gateway itself, as far as addresses can tell. What they cannot, `Via` does
//! (RFC 9110 section 7.6.3).

use core::net::IpAddr;

use url::Url;

use super::{Origin, Policy};

impl Policy {
    /// Whether a request for this authority (host and port as the client named them) came to the very
    /// address that it would be sent on to.
    ///
    /// Only for an origin on this machine. Elsewhere the same name may be right: a Worker on a route of
    /// a zone reaches what is behind the route
    /// [by the same URL](https://developers.cloudflare.com/workers/configuration/routing/routes/).
    #[must_use]
    pub fn leads_back_to(&self, authority: &str) -> bool {
        let Origin::Url(origin) = &self.origin else {
            return false;
        };
        let behind = origin.split_once("://").map_or("", |(_, rest)| rest);
        let behind = behind.split('/').next().unwrap_or_default();
        let ((host, port), (own, own_port)) = (host_and_port(behind), host_and_port(authority));
        port == own_port && names_this_machine(host) && names_this_machine(own)
    }
}

/// Whether two URLs are reached at the same place. What answers plain http for a name answers https for
/// it too.
#[must_use]
pub fn is_same_place(one: &Url, other: &Url) -> bool {
    let place = |url: &Url| {
        let host = url.host_str()?.trim_end_matches('.').to_owned();
        Some((host, url.port()))
    };
    place(one).is_some() && place(one) == place(other)
}

/// Whether a URL names this machine: a loopback address, or `localhost` and names below it (RFC 6761
/// section 6.3). A deployed Worker reaches nothing there.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(names_this_machine)
}

fn host_and_port(authority: &str) -> (&str, &str) {
    match authority.rsplit_once(':') {
        // The colons of an IPv6 address without a port stand before its bracket.
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (authority, ""),
    }
}

fn names_this_machine(host: &str) -> bool {
    let inner = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let address = inner.unwrap_or(host).parse::<IpAddr>();
    address.map_or_else(
        |_| host == "localhost" || host.ends_with(".localhost"),
        |address| address.is_loopback(),
    )
}
