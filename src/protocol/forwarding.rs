//! What changes in a head on its way to the origin and back (RFC 9110 section 7.6).

use std::borrow::Cow;

use super::trace::{self, TraceParent};
use crate::http::Headers;
use crate::http::forwarded::Forwarding;
use crate::http::hop::{EndsAtHop, HOP_BY_HOP};
use crate::http::list::{self, Quoting};

/// The name by which this gateway appears in `Via` (RFC 9110 section 7.6.3).
pub const PSEUDONYM: &str = "raincheck";

/// The member that this gateway adds to `Via`.
pub const VIA: &str = "1.1 raincheck";

/// Names that begin so are Raincheck's own, in requests and in responses. What others send under
/// them is dropped, so an origin can believe them.
pub const OWN_PREFIX: &str = "raincheck-";

/// The job that a request belongs to, by id.
pub const JOB: &str = "raincheck-job";

/// The number of the attempt, from 1.
pub const ATTEMPT: &str = "raincheck-attempt";

/// Request fields that Cloudflare adds to describe one connection from a client. In a replay they
/// would be false statements about a connection that is gone, and the platform adds its own again.
pub const PLATFORM_REQUEST_FIELDS: [&str; 13] = [
    // The peer's address: the replay's peer is the consumer. Forwarding fields carry the client's.
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "cf-pseudo-ipv4",
    // Set by the platform in some plans only, otherwise whatever the client made up: never evidence.
    "true-client-ip",
    "x-real-ip",
    // Where that peer was.
    "cf-ipcountry",
    // Names one request in Cloudflare's logs, and two must not share it.
    "cf-ray",
    "cf-request-id",
    // The scheme of the client's connection.
    "cf-visitor",
    // Which Worker sent a subrequest, and the platform's own protection against loops: kept, they
    // would count one hop many times, and the last attempts would be refused.
    "cf-worker",
    "cf-ew-via",
    "cdn-loop",
    // The client's connection waits for "100 Continue"; the replay already has the body.
    "expect",
];

/// Request fields by which a proxy tells a server whom it speaks for, and what was asked for before it
/// rewrote the request. Servers and frameworks believe them, so those of a client do not go on, unless
/// the configuration trusts the proxy that wrote them. All that begin with [`FORWARDED_PREFIX`] are
/// such fields too.
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

/// What the names of most [`PROXY_FIELDS`] begin with.
pub const FORWARDED_PREFIX: &str = "x-forwarded-";

/// Response fields that describe the connection or the platform's handling of one response.
pub const PLATFORM_RESPONSE_FIELDS: [&str; 5] = [
    // Offers other connections to the origin, but the client's connection ends at the gateway.
    "alt-svc",
    "cf-cache-status",
    "cf-ray",
    "cf-request-id",
    // The length of the stored body is known, and of a part of it another.
    "content-length",
];

/// The fields of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobFields<'a> {
    /// The job's name at the origin: never its id, which opens the job.
    pub name: &'a str,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// The `Idempotency-Key` in the spelling of its field, the same in every attempt.
    pub idempotency_key: &'a str,
    /// Random bytes that name this attempt in its trace; all zeros leave the trace fields alone.
    pub span: [u8; 8],
    /// Random bytes for a trace of its own where the client sent none. `None`: none is started.
    pub trace: Option<[u8; 16]>,
}

/// What is known about the client's connection and the hop to the origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ForwardingInfo<'a> {
    /// Which fields are added.
    pub style: Forwarding,
    /// Forwarding fields that came were written by a proxy that the configuration trusts: they are
    /// kept and added to. Otherwise they are replaced.
    pub trust_incoming: bool,
    /// The client's address as the platform gave it.
    pub client_ip: Option<&'a str>,
    /// `http` or `https`, as the client called.
    pub scheme: &'a str,
    /// Host and port as the client named them.
    pub host: &'a str,
    /// The request is a WebSocket handshake that is passed on: `Upgrade` is sent for the next hop.
    pub websocket: bool,
}

/// Whether the request already came through this gateway: a member of its `Via` names
/// [`PSEUDONYM`], outside comments.
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

/// What has to be done to a head for the next hop. Most fields go on as they came, and are not
/// copied to say so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// Names of fields that do not go on: sorted, each once, none of them in `set`. A client may send
    /// thousands, so each name is looked up by bisection.
    pub removed: Vec<String>,
    /// Fields that go on with this value, whatever they came with. No name is there twice. These are
    /// the gateway's own, a handful.
    pub set: Headers,
}

impl Edits {
    /// The head after these edits.
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

    /// Lets a field go on with this value.
    pub fn set(&mut self, name: &str, value: &str) {
        self.keep(name);
        self.set.set(name, value);
    }

    /// Lets a field go on after all.
    pub fn keep(&mut self, name: &str) {
        if let Ok(at) = self.position(name) {
            self.removed.remove(at);
        }
    }

    /// What of a field that came is not removed.
    #[must_use]
    pub fn left<'h>(&self, came: &'h Headers, name: &str) -> Option<Cow<'h, str>> {
        came.joined(name).filter(|_| !self.removes(name))
    }

    /// Adds a member to a list field, keeping the field in one line.
    fn append(&mut self, came: &Headers, name: &str, member: &str) {
        match self.left(came, name) {
            Some(list) if !list.is_empty() => self.set.push(name, format!("{list}, {member}")),
            _ => self.set.push(name, member),
        }
    }
}

/// What changes in the head of a request that is passed on: hop-by-hop fields, `Host` (the URL names
/// the origin) and the client's `Raincheck-*` are removed, `Via` and the configured forwarding fields
/// added.
#[must_use]
pub fn edits_to_origin(headers: &Headers, info: &ForwardingInfo<'_>) -> Edits {
    edits(headers, info, false)
}

/// The head of a request as it is kept for its attempts: as [`edits_to_origin`], and without
/// [`PLATFORM_REQUEST_FIELDS`] and `Content-Length`, because the stored body has its own.
/// [`add_job`] adds the fields of the job to each attempt.
#[must_use]
pub fn request_to_store(headers: Headers, info: &ForwardingInfo<'_>) -> Headers {
    edits(&headers, info, true).apply(headers)
}

fn edits(headers: &Headers, info: &ForwardingInfo<'_>, is_replay: bool) -> Edits {
    let ends_at_hop = EndsAtHop::of(headers);
    let ends_here = |name: &str| {
        ends_at_hop.contains(name)
            || name == "host"
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

/// Whether no origin ever gets a client's field by this name; `name` in lower case. `trust_incoming` as in
/// [`ForwardingInfo`].
#[must_use]
pub fn is_dropped(name: &str, trust_incoming: bool) -> bool {
    HOP_BY_HOP.contains(&name)
        || name == "host"
        || name.starts_with(OWN_PREFIX)
        || is_of_the_connection(name)
        || (!trust_incoming && is_proxy_field(name))
        || passes_for_another(name, true)
}

fn is_of_the_connection(name: &str) -> bool {
    PLATFORM_REQUEST_FIELDS.contains(&name) || name == "content-length"
}

fn is_proxy_field(name: &str) -> bool {
    name.starts_with(FORWARDED_PREFIX) || PROXY_FIELDS.contains(&name)
}

/// Whether a server may take a field for one that only the gateway may send. Whoever hands fields on as
/// environment variables (CGI, WSGI, PHP) writes `_` for `-`, and cannot tell `X_Real_IP` from
/// `X-Real-IP`. No proxy sends such a name, so it does not go on even where the proxy is trusted.
fn passes_for_another(name: &str, is_replay: bool) -> bool {
    if !name.contains('_') {
        return false;
    }
    let name = name.replace('_', "-");
    name.starts_with(OWN_PREFIX)
        || HOP_BY_HOP.contains(&name.as_str())
        || is_of_the_connection(&name)
        || is_proxy_field(&name)
        || (is_replay && name == "idempotency-key")
}

/// The head of an origin's response as it is kept for the result: end-to-end fields without
/// [`PLATFORM_RESPONSE_FIELDS`], `Raincheck-*`, and without `Access-Control-*`: that was the origin's
/// word to the page that asked, and a result is read by others, whom the configuration names.
#[must_use]
pub fn response_to_store(headers: Headers) -> Headers {
    let ends_at_hop = EndsAtHop::of(&headers);
    let mut headers = headers;
    headers.retain(|name, _| {
        !ends_at_hop.contains(name)
            && !PLATFORM_RESPONSE_FIELDS.contains(&name)
            && !name.starts_with(OWN_PREFIX)
            && !name.starts_with("access-control-")
    });
    headers
}

/// Appends our member. A `Via` with an open comment would hide what follows it, and with that the
/// loop that `Via` is to show; it is malformed and gives way.
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
        // These name the first hop's connection, so a trusted proxy's word stands.
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

/// Adds the fields by which an origin recognises a job and its attempts.
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
        // State that belongs to no valid trace must not be carried over into another.
        headers.remove("tracestate");
        headers.set("traceparent", field);
    }
}
