//! What pages of other origins may do (CORS).

use crate::http::Headers;
use crate::policy::{Policy, is_credential};
use crate::protocol::cors::Cors;
use crate::protocol::dropped::is_dropped;

/// Fields that carry a browser's own credentials. No browser lets a script set them, so no browser asks for
/// them in a preflight.
const AMBIENT_CREDENTIALS: [&str; 3] = ["cookie", "cookie2", "set-cookie"];

/// What the configuration says about pages of other origins.
#[must_use]
pub fn cors(policy: &Policy) -> Cors<'_> {
    Cors {
        origins: &policy.cors_origins,
        headers: &policy.cors_headers,
        exposed: &policy.cors_expose,
    }
}

/// The fields of the response to a preflight; `None` if Raincheck does not respond to it.
pub(super) fn preflight(policy: &Policy, headers: &Headers) -> Option<Headers> {
    cors(policy).preflight(headers, |name| mirrors(policy, name))
}

/// Whether a page may send a field because it asks for it; `name` in lower case. Not allowed are fields that the
/// gateway drops on the way to the origin, and credentials that the configured `owner_headers` leave out: two callers
/// that only such a field tells apart would share their idempotency keys.
fn mirrors(policy: &Policy, name: &str) -> bool {
    !is_dropped(name, policy.trusted_forwarded_host)
        && !AMBIENT_CREDENTIALS.contains(&name)
        && (!is_credential(name) || policy.is_owner_header(name))
}
