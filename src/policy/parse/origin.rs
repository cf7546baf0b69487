//! URLs: where requests go, how clients reach the gateway, which web origins may call it.

use serde_json::Value;
use url::Url;

use crate::policy::fields::{Fields, shown_text};
use crate::policy::names::ORIGIN_FIELDS;
use crate::policy::{Origin, is_loopback, is_same_place};

const ORIGIN_FORMS: &str = "a URL such as \"https://api.example.com\", or { service = true }";
const ORIGIN_URL: &str = "an absolute http or https URL such as \"https://api.example.com/base\", \
    without credentials, query or fragment";
const NO_HTTP: &str =
    "https, or http to a loopback address, or http anywhere with allow_http = true";
const SITE: &str = "scheme and host such as \"https://api.example.com\", nothing after them";

/// `origin`, which alone has no default.
pub(super) fn origin(fields: &mut Fields, allow_http: bool) -> Option<Origin> {
    match fields.take("origin") {
        None => {
            fields.refuse("origin", "nothing", ORIGIN_FORMS);
            None
        }
        Some(Value::String(text)) => origin_url(fields, "origin", &text, allow_http),
        Some(Value::Object(table)) => {
            let mut inner = Fields::new(
                table,
                fields.home_of("origin").table("origin"),
                ORIGIN_FIELDS,
            );
            let origin = origin_table(&mut inner, allow_http);
            let errors = inner.finish();
            // One complaint is enough: an unknown or wrong field explains what is missing.
            if errors.is_empty() && origin.is_none() {
                let found = "neither url nor service = true";
                fields.refuse("origin", found, ORIGIN_FORMS);
            }
            fields.absorb(errors);
            origin
        }
        Some(_) => {
            fields.refuse("origin", "neither text nor table", ORIGIN_FORMS);
            None
        }
    }
}

fn origin_table(inner: &mut Fields, allow_http: bool) -> Option<Origin> {
    let service = inner.flag("service").unwrap_or(false);
    let url = inner.text("url", ORIGIN_URL);
    match url {
        Some(_) if service => {
            inner.refuse(
                "service",
                "true beside a url",
                "either url or service = true",
            );
            None
        }
        Some(text) => origin_url(inner, "url", &text, allow_http),
        None => service.then_some(Origin::Service),
    }
}

fn origin_url(fields: &mut Fields, key: &str, text: &str, allow_http: bool) -> Option<Origin> {
    let url = web_url(fields, key, text, ORIGIN_URL)?;
    if url.query().is_some() || url.fragment().is_some() {
        fields.refuse(key, shown_text(text), ORIGIN_URL);
        return None;
    }
    refuse_plain_http(fields, key, &url, allow_http)?;
    Some(Origin::Url(url.as_str().trim_end_matches('/').to_owned()))
}

/// `public_origin`, in serialized form.
pub(super) fn public_origin(fields: &mut Fields, allow_http: bool) -> Option<String> {
    let text = fields.text("public_origin", SITE)?;
    let url = site(fields, "public_origin", &text)?;
    refuse_plain_http(fields, "public_origin", &url, allow_http)?;
    Some(url.origin().ascii_serialization())
}

/// `cors_origins`, in serialized form. Plain http is fine here: it is the page's affair.
pub(super) fn cors_origins(fields: &mut Fields) -> Vec<String> {
    const ALLOWED: &str =
        "an array of origins such as [\"https://app.example.com\"], or [\"*\"] alone";
    let texts = fields.texts("cors_origins", ALLOWED).unwrap_or_default();
    if texts.iter().any(|text| text == "*") {
        if texts.len() > 1 {
            fields.refuse("cors_origins", "\"*\" among others", ALLOWED);
        }
        return texts;
    }
    let mut origins = Vec::with_capacity(texts.len());
    for text in &texts {
        origins.extend(
            site(fields, "cors_origins", text).map(|url| url.origin().ascii_serialization()),
        );
    }
    origins
}

/// Refuses to forward to the place where this gateway itself is reached.
pub(super) fn refuse_loop(
    fields: &mut Fields,
    origin: Option<&Origin>,
    public_origin: Option<&String>,
) {
    let (Some(Origin::Url(origin)), Some(public)) = (origin, public_origin) else {
        return;
    };
    let urls = Url::parse(origin).ok().zip(Url::parse(public).ok());
    if urls.is_some_and(|(origin, public)| is_same_place(&origin, &public)) {
        let found = format!("{}, which is the public_origin", shown_text(origin));
        fields.refuse(
            "origin",
            found,
            "the address of the API behind, not of this gateway",
        );
    }
}

/// An absolute http or https URL without credentials.
fn web_url(fields: &mut Fields, key: &str, text: &str, allowed: &str) -> Option<Url> {
    let url = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.host_str().is_some_and(|host| !host.is_empty())
    });
    // What stands before an @ may be a password, so such a text is never shown.
    let found = if text.contains('@') {
        "a text with an \"@\" (not shown)".to_owned()
    } else {
        shown_text(text)
    };
    let Some(url) = url.filter(|url| url.username().is_empty() && url.password().is_none()) else {
        fields.refuse(key, found, allowed);
        return None;
    };
    Some(url)
}

fn site(fields: &mut Fields, key: &str, text: &str) -> Option<Url> {
    let url = web_url(fields, key, text, SITE)?;
    if url.path() == "/" && url.query().is_none() && url.fragment().is_none() {
        return Some(url);
    }
    fields.refuse(key, shown_text(text), SITE);
    None
}

fn refuse_plain_http(fields: &mut Fields, key: &str, url: &Url, allow_http: bool) -> Option<()> {
    if url.scheme() == "https" || allow_http || is_loopback(url) {
        return Some(());
    }
    fields.refuse(key, shown_text(url.as_str()), NO_HTTP);
    None
}
