//! The header fields of a response at a result URL.
//!
//! Every result shares the gateway's web origin with every other one, and its URL is not the URL that
//! the origin answered. So fields that speak to a browser about the whole web origin, or to caches
//! about the URL, are not replayed, and no script in a result may run.
//!
//! A held response is different: it goes to the caller that made the job, at the URL that it asked
//! for, and keeps what it would have had if it had passed through.

use crate::http::Headers;
use crate::http::list::{self, Quoting};
use crate::http::media::{essence, is_json};
use crate::job::{JobId, Status};

/// The state of the job: `pending`, `succeeded`, `failed` or `canceled`.
pub const JOB_STATUS: &str = "raincheck-job-status";

/// Who made the response, see [`Source`].
pub const SOURCE: &str = "raincheck-result";

/// The origin's own status, where replaying it would look like a status of ours.
pub const ORIGIN_STATUS: &str = "raincheck-origin-status";

/// The `Content-Length` of the origin's response to HEAD, where the response at hand has another.
pub const ORIGIN_LENGTH: &str = "raincheck-origin-content-length";

/// The body ended with the connection, so nothing says that it is complete.
pub const LENGTH_UNVERIFIED: &str = "raincheck-length-unverified";

/// Who made the final response at a result URL. A pending one has no source yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The origin's response, replayed.
    Origin,
    /// A problem of Raincheck's own.
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

/// Says which job a response at a result URL is about, how that job stands, and who made the response.
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
    // Ours comes first: the origin's own links may use the same relation, or may be malformed.
    let mut link = status_link(base, &id.to_string());
    if let Some(theirs) = headers.joined("link") {
        link.push_str(", ");
        link.push_str(&theirs);
    }
    headers.set("link", link);
}

/// Fields that change what a browser keeps, or does later, for the whole web origin. A replayed
/// result would set them for the gateway, and again for each reader.
const ABOUT_THE_WEB_ORIGIN: [&str; 23] = [
    "accept-ch",
    "activate-storage-access",
    "alt-svc",
    "clear-site-data",
    // Replaced by our own where a script could run; a report would name the URL of the result.
    "content-security-policy",
    "content-security-policy-report-only",
    "critical-ch",
    "expect-ct",
    "nel",
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
    "speculation-rules",
    "strict-transport-security",
    "use-as-dictionary",
];

/// Fields that speak to caches about the URL that the origin answered.
const ABOUT_CACHING: [&str; 7] = [
    "age",
    "cache-control",
    "cdn-cache-control",
    "cloudflare-cdn-cache-control",
    "expires",
    "pragma",
    "surrogate-control",
];

/// Fields that speak to shared caches only, and would override `Cache-Control` there.
const FOR_SHARED_CACHES: [&str; 3] = [
    "cdn-cache-control",
    "cloudflare-cdn-cache-control",
    "surrogate-control",
];

/// Fields that set or delete what a browser keeps for one person. Only the request that made the job gets
/// them: a repetition of it may come from somebody else who has the same key.
const FOR_ONE_PERSON: [&str; 6] = [
    "clear-site-data",
    "secure-session-registration",
    "service-worker-allowed",
    "set-cookie",
    "set-cookie2",
    "set-login",
];

/// Keeps scripts from running. Styles and embedded images may stay, so that a stored page can be read.
const SANDBOX: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// The origin's fields as a result URL replays them.
pub fn replayed(headers: &mut Headers) {
    let keeps_bytes = directives(headers).any(|it| it.eq_ignore_ascii_case("no-transform"));
    headers
        .retain(|name, _| !ABOUT_THE_WEB_ORIGIN.contains(&name) && !ABOUT_CACHING.contains(&name));
    // Not `no-cache`: a browser shows such a response again on "Back" without asking, also after a purge.
    headers.push(
        "cache-control",
        if keeps_bytes {
            "no-store, no-transform"
        } else {
            "no-store"
        },
    );
    headers.set("x-content-type-options", "nosniff");
    if !is_inert(headers) {
        headers.push("content-security-policy", SANDBOX);
    }
}

/// The origin's fields in a held response. `repeats`: another request made the job, with the same key.
pub fn held(headers: &mut Headers, repeats: bool) {
    // The response names the job, whose id opens it: a shared cache would give that id to others.
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

/// Whether a directive contradicts `private`, or says the same.
fn is_for_shared_caches(directive: &str) -> bool {
    let name = directive.split('=').next().unwrap_or_default();
    ["public", "s-maxage", "proxy-revalidate", "private"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}

/// Types that a browser shows or saves without running a script of theirs in the web origin. With
/// `nosniff` it takes them for nothing else. Whole families of types are in [`INERT_FAMILIES`].
const INERT_TYPES: [&str; 19] = [
    "application/gzip",
    "application/json",
    "application/jsonl",
    "application/octet-stream",
    // A browser's viewer runs it apart from the web origin, and refuses to open it in a sandbox.
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

/// Families without a type that could hold a script. `image/` is none: SVG is in it.
const INERT_FAMILIES: [&str; 3] = ["audio/", "font/", "video/"];

/// Whether no browser runs a script out of a response with this type.
fn is_inert(headers: &Headers) -> bool {
    let Some(content_type) = headers.joined("content-type") else {
        return false;
    };
    // Browsers differ in which of several types they take.
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
