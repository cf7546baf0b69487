//! Cross-origin requests from browsers (the CORS protocol of the Fetch standard), for configured
//! origins only. Credentials in the sense of that standard (cookies) are never allowed.

use crate::http::Headers;

/// Response fields that scripts may read.
pub const EXPOSED: &str = "Location, Content-Location, Operation-Location, Retry-After, ETag, Link, \
     Preference-Applied, Accept-Ranges, Content-Range, Content-Disposition, Raincheck-Job-Status, Raincheck-Result, \
     Raincheck-Origin-Status, Raincheck-Origin-Content-Length, Raincheck-Length-Unverified";

/// Request fields that scripts may send.
pub const ALLOWED_HEADERS: &str = "Authorization, Content-Type, Prefer, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, traceparent, \
     Priority, Range, If-Range, Raincheck-Not-Before, Raincheck-Deadline";

/// Methods that scripts may use: those of job resources, and those that rules can defer.
pub const ALLOWED_METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";

/// How long a browser may keep the answer to a preflight, in seconds. Short enough that a change of
/// the configured origins is felt the same day; browsers cap it at two hours or less anyway.
pub const MAX_AGE_SECONDS: &str = "3600";

/// The configured origin that means every origin.
const ANY: &str = "*";

/// The fields that answer a preflight (status 204). `None`: this is no preflight, or not from a
/// configured origin.
#[must_use]
pub fn preflight(origins: &[String], headers: &Headers) -> Option<Headers> {
    let allowed = allowed_origin(origins, headers.get("origin")?)?;
    headers.get("access-control-request-method")?;
    Some(Headers::from_iter([
        ("access-control-allow-origin", allowed),
        ("access-control-allow-methods", ALLOWED_METHODS),
        ("access-control-allow-headers", ALLOWED_HEADERS),
        ("access-control-max-age", MAX_AGE_SECONDS),
        ("vary", "Origin"),
    ]))
}

/// Lets a configured origin read a response.
///
/// `Vary: Origin` is added to every response as soon as origins are configured, so that no cache
/// gives one origin's response to another.
pub fn decorate(origins: &[String], request_origin: Option<&str>, response: &mut Headers) {
    if origins.is_empty() {
        return;
    }
    response.add_vary("Origin");
    if let Some(allowed) = request_origin.and_then(|origin| allowed_origin(origins, origin)) {
        response.set("access-control-allow-origin", allowed);
        response.set("access-control-expose-headers", EXPOSED);
        // The origin's word for its own list of pages; with ours it would let others read with cookies.
        response.remove("access-control-allow-credentials");
    }
}

/// The value that allows `origin`. Browsers send origins in one spelling, so bytes are compared.
fn allowed_origin<'a>(origins: &'a [String], origin: &str) -> Option<&'a str> {
    origins
        .iter()
        .find(|known| *known == ANY || *known == origin)
        .map(String::as_str)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn only_a_configured_origin_is_ever_allowed(origin in "(https?://)?[a-z.]{0,20}|null") {
            let origins = ["https://app.example".to_owned()];
            let mut response = Headers::from_iter([("access-control-allow-credentials", "true")]);
            decorate(&origins, Some(&origin), &mut response);
            prop_assert_eq!(
                response.contains("access-control-allow-origin"),
                origin == "https://app.example"
            );
            prop_assert_eq!(response.get("vary"), Some("Origin"));
            prop_assert!(
                !(response.contains("access-control-allow-origin")
                    && response.contains("access-control-allow-credentials"))
            );
        }
    }
}
