//! The header fields of replayed and held responses.
//!
//! All results share the gateway's web origin, and their URLs are not those of the API. So fields that
//! affect the whole web origin in a browser, and fields about caching, are not replayed, and scripts in a
//! result must not run.
//!
//! A held response is different: it goes to the client that created the job, at the URL of its request,
//! and keeps most of the fields that it would have had if it had passed through.

use crate::http::Headers;
use crate::http::list::{self, Quoting};
use crate::http::media::{essence, is_json};
use crate::job::{JobId, Status};

use super::link::drop_loading;

/// The state of the job: `pending`, `succeeded`, `failed` or `canceled`.
pub const JOB_STATUS: &str = "raincheck-job-status";

/// Where the response comes from, see [`Source`].
pub const SOURCE: &str = "raincheck-result";

/// The origin's status, if replaying it would look like a status of Raincheck's.
pub const ORIGIN_STATUS: &str = "raincheck-origin-status";

/// The `Content-Length` of the origin's response to HEAD, if this response has another.
pub const ORIGIN_LENGTH: &str = "raincheck-origin-content-length";

/// The body ended when the connection closed, so it may be incomplete.
pub const LENGTH_UNVERIFIED: &str = "raincheck-length-unverified";

/// Where the final response at a result URL comes from. A pending one has no source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The origin's response, replayed.
    Origin,
    /// A problem from Raincheck.
    Gateway,
}

impl Source {
    /// The value of [`SOURCE`].
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::Gateway => "gateway",
        }
    }
}

/// The link to a job's status document (RFC 8288). `base` is scheme, host and mount.
#[must_use]
pub fn status_link(base: &str, id: &str) -> String {
    format!("<{base}/{id}>; rel=\"status\"")
}

/// Marks a response at a result URL with its job, the job's status, and the source.
pub fn mark(headers: &mut Headers, base: &str, id: &JobId, status: Status, source: Option<Source>) {
    let job_status = if status.is_terminal() {
        status.as_str()
    } else {
        "pending"
    };
    headers.set(JOB_STATUS, job_status);
    if let Some(source) = source {
        headers.set(SOURCE, source.as_str());
    }
    // Ours comes first: the origin's links may use the same relation, or be malformed.
    let mut link = status_link(base, &id.to_string());
    if let Some(theirs) = headers.joined("link") {
        link.push_str(", ");
        link.push_str(&theirs);
    }
    headers.set("link", link);
}

/// Fields that change what a browser stores or does for the whole web origin. Replayed, they would affect
/// the gateway's, and that for every reader.
const ABOUT_THE_WEB_ORIGIN: [&str; 33] = [
    "accept-ch",
    "activate-storage-access",
    "alt-svc",
    "attribution-reporting-register-source",
    "attribution-reporting-register-trigger",
    "clear-site-data",
    // Replaced by ours if a script could run; reports would contain the URL of the result.
    "content-security-policy",
    "content-security-policy-report-only",
    "critical-ch",
    "delegate-ch",
    "expect-ct",
    "integrity-policy",
    "integrity-policy-report-only",
    "nel",
    "observe-browsing-topics",
    "origin-agent-cluster",
    "public-key-pins",
    "public-key-pins-report-only",
    "refresh",
    "report-to",
    "reporting-endpoints",
    "secure-session-registration",
    "service-worker-allowed",
    "set-cookie",
    "set-cookie2",
    "set-login",
    "shared-storage-write",
    // A debugger would load it, and so tell another site that somebody reads the result.
    "sourcemap",
    "speculation-rules",
    "strict-transport-security",
    // It shows pages of other origins how long a read took.
    "timing-allow-origin",
    "use-as-dictionary",
    "x-sourcemap",
];

/// The prefix of more fields like [`ABOUT_THE_WEB_ORIGIN`], for auctions of advertisements.
const AD_AUCTION: &str = "ad-auction-";

/// Fields that tell caches about the API's URL.
const ABOUT_CACHING: [&str; 7] = [
    "age",
    "cache-control",
    "cdn-cache-control",
    "cloudflare-cdn-cache-control",
    "expires",
    "pragma",
    "surrogate-control",
];

/// Fields for shared caches only, where they override `Cache-Control`.
const FOR_SHARED_CACHES: [&str; 3] = [
    "cdn-cache-control",
    "cloudflare-cdn-cache-control",
    "surrogate-control",
];

/// Fields that set or delete what a browser stores for one user. Only the request that created the job gets
/// them: a repetition may come from another user with the same key.
const FOR_ONE_PERSON: [&str; 6] = [
    "clear-site-data",
    "secure-session-registration",
    "service-worker-allowed",
    "set-cookie",
    "set-cookie2",
    "set-login",
];

/// Blocks scripts. Styles and embedded images are allowed, so that a stored page is readable.
const SANDBOX: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// The field that says what a browser tells other sites about the URL of a page.
pub const REFERRER_POLICY: &str = "referrer-policy";

/// Nothing: the URL of a job opens it.
pub const NO_REFERRER: &str = "no-referrer";

/// Edits the origin's fields for a response at a result URL.
pub fn replayed(headers: &mut Headers) {
    let keeps_bytes = directives(headers).any(|it| it.eq_ignore_ascii_case("no-transform"));
    headers.retain(|name, _| {
        !ABOUT_THE_WEB_ORIGIN.contains(&name)
            && !ABOUT_CACHING.contains(&name)
            && !name.starts_with(AD_AUCTION)
    });
    drop_loading(headers);
    // With `no-cache`, a browser would show the response again on "Back" without a request, even after a purge.
    headers.push(
        "cache-control",
        if keeps_bytes {
            "no-store, no-transform"
        } else {
            "no-store"
        },
    );
    headers.set("x-content-type-options", "nosniff");
    headers.set(REFERRER_POLICY, NO_REFERRER);
    if !is_inert(headers) {
        headers.push("content-security-policy", SANDBOX);
    }
}

/// Edits the origin's fields for a held response. `repeats`: an earlier request with the same key created the
/// job.
pub fn held(headers: &mut Headers, repeats: bool) {
    // The response contains the job's id, which grants access to it, so shared caches must not store it.
    let mut caching: Vec<String> = directives(headers)
        .filter(|it| !is_for_shared_caches(it))
        .map(str::to_owned)
        .collect();
    caching.push("private".to_owned());
    headers.retain(|name, _| {
        !FOR_SHARED_CACHES.contains(&name) && (!repeats || !FOR_ONE_PERSON.contains(&name))
    });
    headers.set("cache-control", caching.join(", "));
}

/// The directives of `Cache-Control` (RFC 9111 section 5.2).
fn directives(headers: &Headers) -> impl Iterator<Item = &str> {
    headers
        .get_all("cache-control")
        .flat_map(|value| list::split(value, b',', Quoting::Strings))
        .filter(|directive| !directive.is_empty())
}

/// Whether a directive contradicts `private` or duplicates it.
fn is_for_shared_caches(directive: &str) -> bool {
    let name = directive.split('=').next().unwrap_or_default();
    ["public", "s-maxage", "proxy-revalidate", "private"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}

/// Types that a browser shows or saves without running scripts in the web origin. With `nosniff` it treats
/// them as no other type. [`INERT_FAMILIES`] has whole families.
const INERT_TYPES: [&str; 19] = [
    "application/gzip",
    "application/json",
    "application/jsonl",
    "application/octet-stream",
    // A browser's viewer isolates it from the web origin, and does not work in a sandbox.
    "application/pdf",
    "application/x-gzip",
    "application/x-ndjson",
    "application/x-tar",
    "application/zip",
    "image/avif",
    "image/bmp",
    "image/gif",
    "image/heic",
    "image/jpeg",
    "image/png",
    "image/tiff",
    "image/webp",
    "text/csv",
    "text/plain",
];

/// Families in which no type can contain a script. Not `image/`, because of SVG.
const INERT_FAMILIES: [&str; 3] = ["audio/", "font/", "video/"];

/// Whether no browser runs a script from a response with this type.
fn is_inert(headers: &Headers) -> bool {
    let Some(content_type) = headers.joined("content-type") else {
        return false;
    };
    // Browsers differ in which of several types they use.
    if content_type.contains(',') {
        return false;
    }
    let essence = essence(&content_type).to_ascii_lowercase();
    INERT_TYPES.contains(&essence.as_str())
        || INERT_FAMILIES
            .iter()
            .any(|family| essence.starts_with(family))
        || is_json(&essence)
}
