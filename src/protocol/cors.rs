//! Cross-origin requests from browsers (the CORS protocol of the Fetch standard), for configured
//! origins only. Credentials in the sense of that standard (cookies) are never allowed.

use std::collections::BTreeSet;

use crate::http::{Headers, list};

/// Response fields that scripts may always read, in addition to the configured ones.
pub const EXPOSED: &str = "Location, Content-Location, Operation-Location, Retry-After, ETag, Link, \
     Preference-Applied, Accept-Ranges, Content-Range, Content-Disposition, Raincheck-Job-Status, Raincheck-Result, \
     Raincheck-Origin-Status, Raincheck-Origin-Content-Length, Raincheck-Length-Unverified";

/// Request fields that scripts may always send, in addition to those configured and mirrored.
pub const ALLOWED_HEADERS: &str = "Authorization, Content-Type, Prefer, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, traceparent, \
     Priority, Range, If-Range, Raincheck-Not-Before, Raincheck-Deadline";

/// Methods that scripts may use: those of job resources, and those that rules can defer.
pub const ALLOWED_METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";

/// How long a browser may cache the response to a preflight, in seconds. A change of the configured
/// origins must take effect the same day, and browsers cap it at two hours or less anyway.
pub const MAX_AGE_SECONDS: &str = "3600";

/// Most fields that a preflight's response allows because the page asked for them. Pages set only a few
/// fields of their own.
pub const MAX_MIRRORED: usize = 32;

/// Longest name of such a field, in bytes. Together with [`MAX_MIRRORED`] it bounds the response to about
/// 2 KiB.
pub const MAX_MIRRORED_NAME_BYTES: usize = 64;

/// As an origin it means every origin. It is never sent as a field name, where it would mean every field but
/// `Authorization` (Fetch standard, "CORS-unsafe request-header names").
const ANY: &str = "*";

/// What the configuration lets pages of other origins do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cors<'a> {
    /// Serialized origins, or `*` alone. Empty: CORS is off.
    pub origins: &'a [String],
    /// Request fields that scripts may send, beside [`ALLOWED_HEADERS`].
    pub headers: &'a [String],
    /// Response fields that scripts may read, beside [`EXPOSED`].
    pub exposed: &'a [String],
}

impl Cors<'_> {
    /// The fields of the response to a preflight (status 204). `None`: this is not a preflight, or its origin
    /// is not configured.
    ///
    /// It allows [`ALLOWED_HEADERS`], the configured fields, and the first [`MAX_MIRRORED`] of the requested
    /// fields that `mirrors` accepts. That is called with the name in lower case.
    #[must_use]
    pub fn preflight(&self, headers: &Headers, mirrors: impl Fn(&str) -> bool) -> Option<Headers> {
        let allowed = self.allowed_origin(headers.get("origin")?)?;
        headers.get("access-control-request-method")?;
        let mut fields = with(ALLOWED_HEADERS, self.headers);
        for name in self.mirrored(headers, mirrors) {
            fields.push_str(", ");
            fields.push_str(&name);
        }
        Some(Headers::from_iter([
            ("access-control-allow-origin", allowed),
            ("access-control-allow-methods", ALLOWED_METHODS),
            ("access-control-allow-headers", fields.as_str()),
            ("access-control-max-age", MAX_AGE_SECONDS),
            ("vary", "Origin, Access-Control-Request-Headers"),
        ]))
    }

    /// The requested fields to allow beside those that are always allowed: in lower case, each once. Only
    /// tokens are included, so that no other bytes of the request are reflected.
    fn mirrored(&self, headers: &Headers, mirrors: impl Fn(&str) -> bool) -> BTreeSet<String> {
        let mut mirrored = BTreeSet::new();
        let requested = headers
            .get_all("access-control-request-headers")
            .flat_map(|names| names.split(','))
            .map(list::trim_ows)
            .filter(|name| name.len() <= MAX_MIRRORED_NAME_BYTES && list::is_token(name))
            .map(str::to_ascii_lowercase)
            .filter(|name| name != ANY && !self.allows(name) && mirrors(name));
        for name in requested {
            mirrored.insert(name);
            if mirrored.len() >= MAX_MIRRORED {
                break;
            }
        }
        mirrored
    }

    /// Whether a field is always allowed; `name` in lower case.
    fn allows(&self, name: &str) -> bool {
        let mut always = ALLOWED_HEADERS.split(", ");
        always.any(|own| own.eq_ignore_ascii_case(name))
            || self.headers.iter().any(|own| own == name)
    }

    /// Lets a configured origin read a response.
    ///
    /// If origins are configured, every response gets `Vary: Origin`, so that no cache gives one origin's
    /// response to another.
    pub fn decorate(&self, request_origin: Option<&str>, response: &mut Headers) {
        if self.origins.is_empty() {
            return;
        }
        response.add_vary("Origin");
        if let Some(allowed) = request_origin.and_then(|origin| self.allowed_origin(origin)) {
            response.set("access-control-allow-origin", allowed);
            response.set("access-control-expose-headers", with(EXPOSED, self.exposed));
            // The API sent it for its own list of pages. With ours, it would let other pages read with cookies.
            response.remove("access-control-allow-credentials");
        }
    }

    /// The value that allows `origin`. Browsers send origins in one spelling, so bytes are compared.
    fn allowed_origin(&self, origin: &str) -> Option<&str> {
        self.origins
            .iter()
            .find(|known| *known == ANY || *known == origin)
            .map(String::as_str)
    }
}

/// Appends names to a list of field names.
fn with(list: &str, more: &[String]) -> String {
    let mut names = list.to_owned();
    for name in more {
        names.push_str(", ");
        names.push_str(name);
    }
    names
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
            let cors = Cors { origins: &origins, headers: &[], exposed: &[] };
            cors.decorate(Some(&origin), &mut response);
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
