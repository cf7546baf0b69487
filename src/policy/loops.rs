//! Detects by address whether the origin is this gateway itself. Loops that addresses do not show are
//! detected by `Via` (RFC 9110 section 7.6.3).

use core::net::IpAddr;

use url::Url;

/// Whether two URLs lead to the same place. http and https on their default ports count as the same.
#[must_use]
pub fn is_same_place(one: &Url, other: &Url) -> bool {
    let place = |url: &Url| {
        let host = url.host_str()?.trim_end_matches('.').to_owned();
        Some((host, url.port()))
    };
    place(one).is_some() && place(one) == place(other)
}

/// Whether a URL names this machine: a loopback address, `localhost` or a name below it (RFC 6761
/// section 6.3). A deployed Worker cannot reach those.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(names_this_machine)
}

fn names_this_machine(host: &str) -> bool {
    let inner = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let address = inner.unwrap_or(host).parse::<IpAddr>();
    address.map_or_else(
        |_| host == "localhost" || host.ends_with(".localhost"),
        |address| address.is_loopback(),
    )
}
