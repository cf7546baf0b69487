//! The changes to a head on its way to the origin and back (RFC 9110 section 7.6).

use std::borrow::Cow;

use super::dropped::{
    OWN_PREFIX, is_of_the_connection, is_own, is_proxy_field, passes_for_another,
};
use super::trace::{self, TraceParent};
use crate::http::Headers;
use crate::http::forwarded::Forwarding;
use crate::http::hop::EndsAtHop;
use crate::http::list::{self, Quoting};

/// The name of this gateway in `Via` (RFC 9110 section 7.6.3).
pub const PSEUDONYM: &str = "raincheck";

/// The member that this gateway adds to `Via`.
pub const VIA: &str = "1.1 raincheck";

/// The job of a request, by its name at the origin.
pub const JOB: &str = "raincheck-job";

/// The number of the attempt, from 1.
pub const ATTEMPT: &str = "raincheck-attempt";

/// Response fields about the connection, or about the platform's handling of one response.
pub const PLATFORM_RESPONSE_FIELDS: [&str; 5] = [
    // It offers other connections to the origin, but the client's connection ends at the gateway.
    "alt-svc",
    "cf-cache-status",
    "cf-ray",
    "cf-request-id",
    // The length of the stored body is known, and a part of it has another.
    "content-length",
];

/// The fields of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobFields<'a> {
    /// The job's name at the origin. Never its id, which grants access to the job.
    pub name: &'a str,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// The value of `Idempotency-Key`, the same in every attempt.
    pub idempotency_key: &'a str,
    /// A random span id for this attempt; if all bytes are zero, the trace fields stay as they are.
    pub span: [u8; 8],
    /// A random trace id, used if the client sent no trace. `None`: no trace is started.
    pub trace: Option<[u8; 16]>,
}

/// The client's connection, and how it is described to the origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ForwardingInfo<'a> {
    /// Which forwarding fields are added.
    pub style: Forwarding,
    /// The configuration trusts the proxy that wrote the request's forwarding fields: they are kept and
    /// added to. Otherwise they are replaced.
    pub trust_incoming: bool,
    /// The client's address, from the platform.
    pub client_ip: Option<&'a str>,
    /// The scheme of the client's request, `http` or `https`.
    pub scheme: &'a str,
    /// Host and port of the client's request.
    pub host: &'a str,
    /// The request is a WebSocket handshake: `Upgrade` is sent to the next hop.
    pub websocket: bool,
    /// `Referer` has the URL of a job, which the origin must not learn.
    pub hides_referer: bool,
}

/// Whether the request has already passed this gateway: a member of its `Via` names [`PSEUDONYM`],
/// outside comments.
#[must_use]
pub fn is_loop(headers: &Headers) -> bool {
    headers.joined("via").is_some_and(|via| {
        list::split(&via, b',', Quoting::Comments).any(|member| {
            member
                .split([' ', '\t'])
                .filter(|word| !word.is_empty())
                .nth(1)
                .is_some_and(|by| by.eq_ignore_ascii_case(PSEUDONYM))
        })
    })
}

/// The edits to a head for the next hop. Fields that do not change are not copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// Names of fields to remove: sorted, each once, none of them in `set`. A client may send thousands, so
    /// lookups use binary search.
    pub removed: Vec<String>,
    /// Fields to set to this value, each once. These are the gateway's own, and few.
    pub set: Headers,
}

impl Edits {
    /// Applies the edits to a head.
    #[must_use]
    pub fn apply(self, mut headers: Headers) -> Headers {
        headers.retain(|name, _| !self.removes(name) && !self.set.contains(name));
        for (name, value) in self.set.iter() {
            headers.push(name, value);
        }
        headers
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.removed
            .binary_search_by(|removed| removed.as_str().cmp(name))
    }

    fn removes(&self, name: &str) -> bool {
        self.position(name).is_ok()
    }

    /// Sets a field to this value.
    pub fn set(&mut self, name: &str, value: &str) {
        self.keep(name);
        self.set.set(name, value);
    }

    /// Removes these fields, too.
    pub fn remove(&mut self, names: Vec<String>) {
        self.set
            .retain(|name, _| !names.iter().any(|gone| gone == name));
        self.removed.extend(names);
        self.removed.sort_unstable();
        self.removed.dedup();
    }

    /// Keeps a field after all.
    pub fn keep(&mut self, name: &str) {
        if let Ok(at) = self.position(name) {
            self.removed.remove(at);
        }
    }

    /// The value of a field of the head, unless it is removed.
    #[must_use]
    pub fn left<'h>(&self, came: &'h Headers, name: &str) -> Option<Cow<'h, str>> {
        came.joined(name).filter(|_| !self.removes(name))
    }

    /// Appends a member to a list field, which stays one field line.
    fn append(&mut self, came: &Headers, name: &str, member: &str) {
        match self.left(came, name) {
            Some(list) if !list.is_empty() => self.set.push(name, format!("{list}, {member}")),
            _ => self.set.push(name, member),
        }
    }
}

/// The edits to the head of a forwarded request: hop-by-hop fields, `Host` (it follows from the URL) and
/// the client's `Raincheck-*` are removed; `Via` and the configured forwarding fields are added.
#[must_use]
pub fn edits_to_origin(headers: &Headers, info: &ForwardingInfo<'_>) -> Edits {
    edits(headers, info, false)
}

/// The head of a request to store for its attempts: with the edits of [`edits_to_origin`], and without
/// [`PLATFORM_REQUEST_FIELDS`](super::dropped::PLATFORM_REQUEST_FIELDS) and `Content-Length` (the stored body has its own). [`add_job`] adds the
/// job's fields to each attempt.
#[must_use]
pub fn request_to_store(headers: Headers, info: &ForwardingInfo<'_>) -> Headers {
    edits(&headers, info, true).apply(headers)
}

fn edits(headers: &Headers, info: &ForwardingInfo<'_>, is_replay: bool) -> Edits {
    let ends_at_hop = EndsAtHop::of(headers);
    let ends_here = |name: &str| {
        ends_at_hop.contains(name)
            || name == "host"
            || (info.hides_referer && name == "referer")
            || name.starts_with(OWN_PREFIX)
            || (is_replay && is_of_the_connection(name))
            || (!info.trust_incoming && is_proxy_field(name))
            || passes_for_another(name, is_replay)
    };
    let mut removed: Vec<String> = headers
        .iter()
        .filter(|(name, _)| ends_here(name))
        .map(|(name, _)| name.to_owned())
        .collect();
    removed.sort_unstable();
    removed.dedup();
    let mut edits = Edits {
        removed,
        set: Headers::new(),
    };
    if info.websocket {
        edits.set.push("upgrade", "websocket");
    }
    add_via(&mut edits, headers);
    add_forwarded(&mut edits, headers, info);
    let Edits { removed, set } = &mut edits;
    removed.retain(|name| !set.contains(name));
    edits
}

/// The head of an origin's response to store as the result: the end-to-end fields without
/// [`PLATFORM_RESPONSE_FIELDS`], `Raincheck-*` and `Access-Control-*`. The last were for the page that sent
/// the request; which pages may read the result is a matter of the configuration.
#[must_use]
pub fn response_to_store(headers: Headers) -> Headers {
    let ends_at_hop = EndsAtHop::of(&headers);
    let mut headers = headers;
    headers.retain(|name, _| {
        !ends_at_hop.contains(name)
            && !PLATFORM_RESPONSE_FIELDS.contains(&name)
            && !is_own(name)
            && !name.starts_with("access-control-")
    });
    headers
}

/// The edits to the head of a response that passes through: hop-by-hop fields and `Raincheck-*` are removed,
/// because an origin must not speak for the gateway. `varies`: a rule looked at `Prefer`, so the response
/// varies with it.
#[must_use]
pub fn response_to_pass(headers: &Headers, varies: bool) -> Edits {
    let ends_at_hop = EndsAtHop::of(headers);
    let mut edits = Edits::default();
    for (name, _) in headers.iter() {
        if ends_at_hop.contains(name) || name.starts_with(OWN_PREFIX) {
            edits.removed.push(name.to_owned());
        }
    }
    edits.removed.sort_unstable();
    edits.removed.dedup();
    if varies {
        let mut varies = Headers::new();
        if let Some(vary) = edits.left(headers, "vary") {
            varies.push("vary", vary);
        }
        varies.add_vary("Prefer");
        edits.set("vary", varies.get("vary").unwrap_or_default());
    }
    edits
}

/// Appends our member. A `Via` with an unclosed comment would hide our member, so loops would not be
/// detected; such a malformed `Via` is replaced.
fn add_via(edits: &mut Edits, headers: &Headers) {
    let via = match edits.left(headers, "via") {
        Some(via) if list::is_balanced(&via, Quoting::Comments) => format!("{via}, {VIA}"),
        _ => VIA.to_owned(),
    };
    edits.set.push("via", via);
}

fn add_forwarded(edits: &mut Edits, headers: &Headers, info: &ForwardingInfo<'_>) {
    if info.style.sends_x_forwarded() {
        if let Some(ip) = info.client_ip {
            edits.append(headers, "x-forwarded-for", ip);
        }
        // These describe the first hop, so a trusted proxy's values are kept.
        for (name, value) in [
            ("x-forwarded-host", info.host),
            ("x-forwarded-proto", info.scheme),
        ] {
            if edits.left(headers, name).is_none() {
                edits.set.push(name, value);
            }
        }
    }
    if info.style.sends_forwarded() {
        edits.append(headers, "forwarded", &forwarded_element(info));
    }
}

/// `for=…;host=…;proto=…` (RFC 7239 section 4).
fn forwarded_element(info: &ForwardingInfo<'_>) -> String {
    let node = match info.client_ip {
        Some(ip) if ip.contains(':') && !ip.starts_with('[') => format!("[{ip}]"),
        Some(ip) => ip.to_owned(),
        None => "unknown".to_owned(),
    };
    format!(
        "for={};host={};proto={}",
        token_or_quoted(&node),
        token_or_quoted(info.host),
        token_or_quoted(info.scheme),
    )
}

fn token_or_quoted(text: &str) -> Cow<'_, str> {
    if list::is_token(text) {
        return Cow::Borrowed(text);
    }
    let mut quoted = String::from("\"");
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    Cow::Owned(quoted)
}

/// Adds the fields that tell an origin the job and the attempt.
pub fn add_job(headers: &mut Headers, job: &JobFields<'_>) {
    headers.set(JOB, job.name);
    headers.set(ATTEMPT, job.attempt.to_string());
    headers.set("idempotency-key", job.idempotency_key);
    let continued = headers
        .joined("traceparent")
        .and_then(|field| TraceParent::parse(&field).and_then(|parent| parent.child(job.span)));
    if let Some(field) = continued {
        headers.set("traceparent", field);
    } else if let Some(field) = job.trace.and_then(|trace| trace::start(trace, job.span)) {
        // `tracestate` without a valid trace must not be carried over into a new one.
        headers.remove("tracestate");
        headers.set("traceparent", field);
    }
}
