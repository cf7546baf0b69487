//! Request fields that a client may not send on to an origin.

use crate::http::hop::HOP_BY_HOP;
use crate::http::twin::is_twin;

/// The prefix of Raincheck's own fields, in requests and responses. Such fields from others are dropped, so
/// an origin can trust them.
pub const OWN_PREFIX: &str = "raincheck-";

/// Request fields that Cloudflare adds about the client's connection. In a replay they would be wrong,
/// and the platform adds its own again.
pub const PLATFORM_REQUEST_FIELDS: [&str; 13] = [
    // The peer's address, which is the consumer's in a replay. Forwarding fields carry the client's.
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "cf-pseudo-ipv4",
    // Set by the platform in some plans only; in others the client can forge it.
    "true-client-ip",
    "x-real-ip",
    // The peer's country.
    "cf-ipcountry",
    // Identifies one request in Cloudflare's logs; two must not share it.
    "cf-ray",
    "cf-request-id",
    // The scheme of the client's connection.
    "cf-visitor",
    // The Worker that sent a subrequest, and the platform's protection against loops. If they were kept,
    // one hop would count many times, and late attempts would be rejected.
    "cf-worker",
    "cf-ew-via",
    "cdn-loop",
    // It asks for "100 Continue" on the client's connection; the replay already has the body.
    "expect",
];

/// Request fields by which a proxy tells a server about the client and about the request before it was
/// rewritten. Servers and frameworks trust them, so a client's are removed, unless the configuration trusts
/// the proxy that wrote them. Fields with [`FORWARDED_PREFIX`] are treated the same.
pub const PROXY_FIELDS: [&str; 17] = [
    "client-ip",
    "forwarded",
    "front-end-https",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-forwarded",
    "x-http-host-override",
    "x-original-forwarded-for",
    "x-original-host",
    "x-original-uri",
    "x-original-url",
    "x-originating-ip",
    "x-real-ip",
    "x-remote-addr",
    "x-remote-ip",
    "x-rewrite-url",
];

/// The prefix of more fields like [`PROXY_FIELDS`].
pub const FORWARDED_PREFIX: &str = "x-forwarded-";

/// Whether a name has [`OWN_PREFIX`], or a twin of it: some clients read fields from variables, too.
pub(super) fn is_own(name: &str) -> bool {
    name.get(..OWN_PREFIX.len())
        .is_some_and(|prefix| is_twin(prefix, OWN_PREFIX))
}

/// Whether a client's field with this name is never forwarded; `name` in lower case. `trust_incoming` as
/// in [`ForwardingInfo`](super::forwarding::ForwardingInfo).
#[must_use]
pub fn is_dropped(name: &str, trust_incoming: bool) -> bool {
    HOP_BY_HOP.contains(&name)
        || name == "host"
        || name.starts_with(OWN_PREFIX)
        || is_of_the_connection(name)
        || (!trust_incoming && is_proxy_field(name))
        || passes_for_another(name, true)
}

pub(super) fn is_of_the_connection(name: &str) -> bool {
    PLATFORM_REQUEST_FIELDS.contains(&name) || name == "content-length"
}

pub(super) fn is_proxy_field(name: &str) -> bool {
    name.starts_with(FORWARDED_PREFIX) || PROXY_FIELDS.contains(&name)
}

/// Whether a server may mistake a field for one that only the gateway may send, as `X_Real_IP` or `X.Real.IP` for
/// `X-Real-IP`: see [`is_twin`]. No name here has a character besides letters, digits and `-`. No proxy sends such a
/// twin, so it is removed even if the proxy is trusted.
pub(super) fn passes_for_another(name: &str, is_replay: bool) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if name.chars().all(is_plain) {
        return false;
    }
    let name = name.replace(|c| !is_plain(c), "-");
    name.starts_with(OWN_PREFIX)
        || HOP_BY_HOP.contains(&name.as_str())
        || is_of_the_connection(&name)
        || is_proxy_field(&name)
        || (is_replay && name == "idempotency-key")
}
