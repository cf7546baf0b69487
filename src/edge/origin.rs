//! How to reach an origin in this event.

use wasm_bindgen::JsValue;

use super::bindings::Bindings;
use crate::http::target::{Target, join};
use crate::policy::{Origin, OriginAt, Policy, is_loopback};

/// An origin with its current secrets, which go into one request and nowhere else.
#[derive(Debug)]
pub(super) struct Reach<'a> {
    origin: &'a Origin,
    /// The service binding; undefined: the global `fetch`.
    pub(super) fetcher: JsValue,
    /// The configured header fields of its requests, with secrets filled in.
    pub(super) headers: Vec<(&'a str, String)>,
}

impl<'a> Reach<'a> {
    /// Looks up an origin by name. Fails with a log line, which contains no secret.
    pub(super) fn of(policy: &'a Policy, bindings: &Bindings, name: &str) -> Result<Self, String> {
        let Some(origin) = policy.origin(name) else {
            return Err(format!("the origin {name} is not configured"));
        };
        let headers = origin.filled_headers(|name| bindings.get(name).as_string());
        let headers = headers.map_err(|secret| {
            let of = if name.is_empty() {
                "the default origin"
            } else {
                name
            };
            format!("the secret {secret} for {of} is missing or cannot stand in a header")
        })?;
        let fetcher = match &origin.at {
            OriginAt::Url(_) => JsValue::UNDEFINED,
            OriginAt::Service(binding) => bindings.get(binding),
        };
        Ok(Self {
            origin,
            fetcher,
            headers,
        })
    }

    /// The URL of a target at the origin. For a service binding, the host has no meaning.
    pub(super) fn url(&self, target: &Target) -> String {
        match &self.origin.at {
            OriginAt::Url(base) => join(base, target),
            OriginAt::Service(_) => join("http://origin", target),
        }
    }

    /// Host and port, if the origin is on this machine.
    pub(super) fn loopback(&self) -> Option<(String, u16)> {
        let OriginAt::Url(base) = &self.origin.at else {
            return None;
        };
        let url = ::url::Url::parse(base).ok().filter(is_loopback)?;
        Some((url.host_str()?.to_owned(), url.port_or_known_default()?))
    }
}
