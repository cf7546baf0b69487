//! What pages of other origins may do (CORS).

use crate::http::Headers;
use crate::policy::Policy;
use crate::policy::limits::DEFAULT_OWNER_HEADERS;
use crate::protocol::cors::Cors;
use crate::protocol::forwarding::is_dropped;

/// Fields that carry a browser's own credentials. Browsers let no script set them; whoever asks for them is
/// no browser.
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

/// The fields that answer a preflight; `None` where Raincheck does not answer it.
pub(super) fn preflight(policy: &Policy, headers: &Headers) -> Option<Headers> {
    cors(policy).preflight(headers, |name| mirrors(policy, name))
}

/// Whether a page may send a field because it asks for it; `name` in lower case. Not what the gateway drops
/// on the way to the origin. And no usual credential that `owner_headers` leaves out: two callers whom only
/// that field tells apart would share their idempotency keys.
fn mirrors(policy: &Policy, name: &str) -> bool {
    let is_owner = || policy.owner_headers.iter().any(|own| own == name);
    let is_credential = DEFAULT_OWNER_HEADERS.contains(&name);
    !is_dropped(name, policy.trusted_forwarded_host)
        && !AMBIENT_CREDENTIALS.contains(&name)
        && (!is_credential || is_owner())
}
